"""Trees of Ubuntu and of the Red Hat family: their GRUB is found, installed and put onto the ESP under their names."""

import subprocess
from pathlib import Path

import pytest
from bake_help import add_program, make_tree

from goldsmith.bake.bootloader import esp_files, install_bios_boot_sector, install_grub, require_grub
from goldsmith.bake.grub_family import find_family, inside
from goldsmith.bake.layout import make_layout
from goldsmith.errors import InputError
from goldsmith.host.jail import Jail

LAYOUT = make_layout(2**30, "d" * 64)
ENTRY = "title Rocky\nlinux /vmlinuz-5.14\ninitrd /initramfs-5.14.img\noptions root=of-the-build-host\n"


def write(tree: Path, name: str, text: str) -> Path:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = make_tree(tmp_path / "root")
    for name in ("proc", "sys", "dev", "boot"):
        (made / name).mkdir()
    return made


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


@pytest.fixture
def ubuntu(tree: Path) -> Path:
    """As update-alternatives of 24.04 leaves it."""
    write(tree, "usr/lib/os-release", "NAME=Ubuntu\nID=ubuntu\nID_LIKE=debian\n")
    (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
    shim = tree / "usr/lib/shim"
    (shim / "shimx64.efi.signed").rename(shim / "shimx64.efi.signed.latest")
    (shim / "mmx64.efi.signed").rename(shim / "mmx64.efi")
    (tree / "etc/alternatives").mkdir()
    (shim / "shimx64.efi.signed").symlink_to("/etc/alternatives/shimx64.efi.signed")
    (tree / "etc/alternatives/shimx64.efi.signed").symlink_to("/usr/lib/shim/shimx64.efi.signed.latest")
    return tree


@pytest.fixture
def rocky(tree: Path) -> Path:
    """Rocky 9: two entries whose paths and options are those of the build host."""
    write(tree, "etc/os-release", 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\n')
    write(tree, "etc/default/grub", "GRUB_ENABLE_BLSCFG=true\n")
    for folder, name in (("sbin", "mkconfig"), ("sbin", "probe"), ("bin", "mkimage"), ("bin", "editenv")):
        (tree / f"usr/{folder}/grub-{name}").rename(tree / f"usr/{folder}/grub2-{name}")
    setup = tree / "usr/sbin/grub2-bios-setup"
    (tree / "usr/lib/grub/i386-pc/grub-bios-setup").rename(setup)
    setup.write_text(setup.read_text().replace("/boot/grub/", "/boot/grub2/"))
    mkconfig = tree / "usr/sbin/grub2-mkconfig"
    update = 'if [ "$1" = --help ]; then echo "  --update-bls-cmdline"; exit; fi\n'
    update += 'if [ "$1" = --update-bls-cmdline ]; then shift; cmdline=new; fi\n'
    entries = 'for entry in /boot/loader/entries/*.conf; do sed -i "s/^options.*/options root=UUID=$uuid ro $cmdline/" '
    entries += '"$entry"; done\n'
    text = mkconfig.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\n{update}").replace("grub-probe", "grub2-probe")
    mkconfig.write_text(text + entries)
    for name in ("sed", "rm"):
        add_program(tree, name)
    efi = tree / "boot/efi/EFI"
    (efi / "rocky").mkdir(parents=True)
    (efi / "BOOT").mkdir()
    (tree / "usr/lib/shim/shimx64.efi.signed").rename(efi / "rocky/shimx64.efi")
    (efi / "BOOT/shimx64.efi").touch()
    (tree / "usr/lib/shim/mmx64.efi.signed").rename(efi / "rocky/mmx64.efi")
    (tree / "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed").rename(efi / "rocky/grubx64.efi")
    (tree / "usr/share/grub/unicode.pf2").unlink()
    for version in ("5.14", "5.15"):
        write(tree, f"boot/loader/entries/0-{version}.conf", ENTRY.replace("5.14", version))
    (tree / "boot/grub2").mkdir()
    (tree / "boot/grub2/grubenv").symlink_to("../efi/EFI/rocky/grubenv")
    return tree


def test_the_family_is_found_by_what_lies_in_the_tree(tree: Path) -> None:
    assert find_family(tree).vendor == "debian"
    write(tree, "etc/os-release", 'ID="ubuntu"\n')
    assert (find_family(tree).vendor, find_family(tree).prefix) == ("ubuntu", "grub")
    write(tree, "usr/sbin/grub2-mkconfig", "")
    write(tree, "etc/os-release", "ID=rocky\n")
    assert (find_family(tree).vendor, find_family(tree).prefix) == ("rocky", "grub2")
    write(tree, "boot/efi/EFI/BOOT/shimx64.efi", "")
    write(tree, "boot/efi/EFI/almalinux/shimx64.efi", "")
    assert find_family(tree).vendor == "almalinux"


def test_a_link_never_leads_out_of_the_tree(tree: Path) -> None:
    (tree / "etc/out").symlink_to("/etc/passwd")
    assert Path("/etc/passwd").exists()
    assert inside(tree, "etc/out") is None
    write(tree, "etc/passwd", "root")
    assert inside(tree, "etc/out") == tree / "etc/passwd"
    (tree / "etc/loop").symlink_to("loop")
    assert inside(tree, "etc/loop") is None


def test_ubuntus_parts_are_found_through_its_alternatives(ubuntu: Path) -> None:
    require_grub(ubuntu)
    files = esp_files(ubuntu, LAYOUT)
    assert {name: source.read_text() for name, source in files.items() if isinstance(source, Path)} == {
        "EFI/BOOT/BOOTX64.EFI": "signed shim",
        "EFI/BOOT/grubx64.efi": "signed grub",
        "EFI/BOOT/mmx64.efi": "signed mok manager",
        "EFI/ubuntu/shimx64.efi": "signed shim",
        "EFI/ubuntu/grubx64.efi": "signed grub",
        "EFI/ubuntu/mmx64.efi": "signed mok manager",
    }
    assert str(files["EFI/ubuntu/grub.cfg"]).endswith("configfile $prefix/grub.cfg\n")


@pytest.mark.parametrize("missing", ["usr/lib/shim/shimx64.efi.signed.latest", "usr/lib/shim/mmx64.efi"])
def test_what_ubuntu_lacks_is_named(ubuntu: Path, missing: str) -> None:
    (ubuntu / missing).unlink()
    with pytest.raises(InputError, match=r"no boot loader: /usr/lib/shim/\w+\.efi\.signed missing"):
        require_grub(ubuntu)


def test_ubuntus_grub_is_installed_as_debians(jail: Jail, ubuntu: Path, scratch: Path) -> None:
    install_grub(jail, ubuntu, scratch, LAYOUT)
    assert (ubuntu / "boot/grub/grub.cfg").read_text() == f"linux /vmlinuz root=UUID={LAYOUT.root_uuid}\n"
    assert (ubuntu / "boot/grub/x86_64-efi/normal.mod").is_file()


def test_rockys_esp(rocky: Path) -> None:
    require_grub(rocky)
    files = esp_files(rocky, LAYOUT)
    assert files["EFI/BOOT/BOOTX64.EFI"] == rocky / "boot/efi/EFI/rocky/shimx64.efi"
    assert files["EFI/rocky/grubx64.efi"] == rocky / "boot/efi/EFI/rocky/grubx64.efi"
    # Red Hat's GRUB looks beside itself first
    assert files["EFI/BOOT/grub.cfg"] == files["EFI/rocky/grub.cfg"]
    assert str(files["EFI/rocky/grub.cfg"]).splitlines() == [
        f"search --no-floppy --fs-uuid --set=dev {LAYOUT.root_uuid}",
        "set prefix=($dev)/boot/grub2",
        "export prefix",
        "configfile $prefix/grub.cfg",
    ]


@pytest.mark.parametrize(
    "missing",
    [
        "usr/bin/grub2-mkimage",
        "usr/sbin/grub2-probe",
        "usr/lib/grub/i386-pc/boot.img",
        "boot/efi/EFI/rocky/grubx64.efi",
        "boot/efi/EFI/rocky/mmx64.efi",
    ],
)
def test_what_rocky_lacks_is_named(rocky: Path, missing: str) -> None:
    (rocky / missing).unlink()
    with pytest.raises(InputError, match=f"no boot loader: /{missing} missing"):
        require_grub(rocky)


def test_rockys_grub_is_installed(jail: Jail, rocky: Path, scratch: Path) -> None:
    install_grub(jail, rocky, scratch, LAYOUT)
    grub = rocky / "boot/grub2"
    assert (grub / "grub.cfg").read_text() == f"linux /vmlinuz root=UUID={LAYOUT.root_uuid}\n"
    assert not (grub / "grubenv").is_symlink()
    assert (grub / "grubenv").read_text() == "# GRUB Environment Block\n"
    assert (grub / "i386-pc/load.cfg").read_text().splitlines()[1] == "set prefix=($root)/boot/grub2"
    assert "--prefix /boot/grub2 " in (grub / "i386-pc/core.img").read_text()
    assert not (rocky / "boot/grub").exists()
    assert not (grub / "x86_64-efi").exists()


def test_rockys_entries_are_those_of_the_disk(jail: Jail, rocky: Path, scratch: Path) -> None:
    install_grub(jail, rocky, scratch, LAYOUT)
    for version in ("5.14", "5.15"):
        assert (rocky / f"boot/loader/entries/0-{version}.conf").read_text().splitlines()[1:] == [
            f"linux /boot/vmlinuz-{version}",
            f"initrd /boot/initramfs-{version}.img",
            f"options root=UUID={LAYOUT.root_uuid} ro new",
        ]
    assert (rocky / "etc/kernel/cmdline").read_text() == f"root=UUID={LAYOUT.root_uuid} ro new\n"


def test_entries_that_take_their_options_from_grubenv_stay(jail: Jail, rocky: Path, scratch: Path) -> None:
    """EL8, and a GRUB without --update-bls-cmdline."""
    mkconfig = rocky / "usr/sbin/grub2-mkconfig"
    mkconfig.write_text(mkconfig.read_text().replace('echo "  --update-bls-cmdline"', 'echo "usage"'))
    mkconfig.write_text(mkconfig.read_text().replace("options root=UUID=$uuid ro $cmdline", "options \\$kernelopts"))
    install_grub(jail, rocky, scratch, LAYOUT)
    assert "options $kernelopts\n" in (rocky / "boot/loader/entries/0-5.14.conf").read_text()
    assert not (rocky / "etc/kernel/cmdline").exists()


def test_rockys_boot_sector(jail: Jail, rocky: Path, scratch: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(4096))
    install_grub(jail, rocky, scratch, LAYOUT)
    install_bios_boot_sector(jail, rocky, scratch, disk)
    assert disk.read_bytes().startswith(b"GRUB --directory\0")


def test_the_esps_grub_cfg_of_debian_is_as_ever(tree: Path) -> None:
    text = str(esp_files(tree, LAYOUT)["EFI/debian/grub.cfg"])
    assert text.splitlines() == [
        f"search.fs_uuid {LAYOUT.root_uuid} root hd0,gpt1",
        "set prefix=($root)'/boot/grub'",
        "configfile $prefix/grub.cfg",
    ]
    assert len(esp_files(tree, LAYOUT)) == 7


def test_the_scripts_for_grub_are_shell(tmp_path: Path) -> None:
    from goldsmith.bake import bootloader

    script = tmp_path / "entries"
    script.write_text(bootloader._COMPLETE_ENTRIES)
    subprocess.run(["sh", "-n", script], check=True)
