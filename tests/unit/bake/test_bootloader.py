"""GRUB without a device to look at: the shadow of grub-probe, the mounts around it, what lies on the ESP."""

import subprocess
from pathlib import Path

import pytest
from bake_help import make_tree

from goldsmith.bake.bootloader import (
    esp_files,
    grub_probe_script,
    install_bios_boot_sector,
    install_grub,
    require_grub,
)
from goldsmith.bake.layout import make_layout
from goldsmith.errors import CommandFailedError, ExitCode, InputError
from goldsmith.host.jail import Jail

LAYOUT = make_layout(2**30, "d" * 64)


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


def _mounts_below(jail: Jail, folder: Path) -> list[str]:
    lines = jail.run(["cat", "/proc/self/mountinfo"], deadline=10).stdout.splitlines()
    return [line for line in lines if str(folder) in line]


def test_a_tree_with_grub_is_accepted(tree: Path) -> None:
    require_grub(tree)


@pytest.mark.parametrize(
    "missing",
    [
        "usr/bin/grub-mkimage",
        "usr/sbin/grub-mkconfig",
        "usr/sbin/grub-probe",
        "usr/lib/grub/i386-pc/boot.img",
        "usr/lib/shim/mmx64.efi.signed",
        "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
    ],
)
def test_a_missing_part_is_named(tree: Path, missing: str) -> None:
    (tree / missing).unlink()
    with pytest.raises(InputError, match=f"no boot loader: /{missing} missing") as caught:
        require_grub(tree)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert "hybrid-boot" in (caught.value.hint or "")


def test_all_missing_parts_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        require_grub(tmp_path)
    assert "/usr/sbin/grub-mkconfig, /usr/bin/grub-mkimage, " in caught.value.message
    assert "/usr/lib/shim/shimx64.efi.signed" in caught.value.message
    assert "/usr/lib/grub/x86_64-efi, " in caught.value.message


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("device", "/dev/vda1"),
        ("disk", "/dev/vda"),
        ("fs", "ext2"),
        ("fs_uuid", LAYOUT.root_uuid),
        ("fs_label", "root"),
        ("partuuid", LAYOUT.root.guid.lower()),
        ("partmap", "gpt"),
        ("drive", "(hd0,gpt1)"),
        ("hints_string", ""),
        ("compatibility_hint", ""),
        ("abstraction", ""),
    ],
)
def test_the_shadow_of_grub_probe_answers(tmp_path: Path, target: str, answer: str) -> None:
    script = tmp_path / "grub-probe"
    script.write_text(grub_probe_script(LAYOUT))
    # The three ways in which grub-mkconfig and its helpers call it.
    for words in ([f"--target={target}", "/"], ["--target", target, "/"], ["--device", "/dev/vda1", "-t", target]):
        if words[0] == "--target":
            words = ["-t", target, "/boot/grub"]
        done = subprocess.run(["sh", script, *words], capture_output=True, text=True, check=True)
        assert (done.stdout.rstrip("\n"), done.stderr) == (answer, "")


def test_the_shadow_answers_the_file_system_where_no_target_is_given(tmp_path: Path) -> None:
    done = subprocess.run(["sh", "-c", grub_probe_script(LAYOUT), "x", "/boot"], capture_output=True, check=True)
    assert done.stdout == b"ext2\n"


def test_install_grub(jail: Jail, tree: Path, scratch: Path) -> None:
    install_grub(jail, tree, scratch, LAYOUT)
    grub = tree / "boot/grub"
    assert (grub / "grub.cfg").read_text() == f"linux /vmlinuz root=UUID={LAYOUT.root_uuid}\n"
    assert (grub / "grubenv").read_text() == "# GRUB Environment Block\n"
    assert (grub / "fonts/unicode.pf2").read_text() == "font"
    assert (grub / "i386-pc/normal.mod").is_file()
    assert (grub / "x86_64-efi/normal.mod").is_file()
    early = (grub / "i386-pc/load.cfg").read_text().splitlines()
    assert early == [f"search.fs_uuid {LAYOUT.root_uuid} root hd0,gpt1", "set prefix=($root)/boot/grub"]
    words = (grub / "i386-pc/core.img").read_text().split()
    assert words[words.index("--config") + 1] == "/boot/grub/i386-pc/load.cfg"
    # without these core.img finds no root file system
    assert {"biosdisk", "part_gpt", "ext2", "search_fs_uuid"} <= set(words)


def test_nothing_stays_mounted_and_the_tree_keeps_its_own_grub_probe(jail: Jail, tree: Path, scratch: Path) -> None:
    probe = (tree / "usr/sbin/grub-probe").read_bytes()
    install_grub(jail, tree, scratch, LAYOUT)
    assert _mounts_below(jail, tree) == []
    assert _mounts_below(jail, scratch) == []
    assert list((tree / "dev").iterdir()) == []
    assert list((tree / "proc").iterdir()) == []
    assert (tree / "usr/sbin/grub-probe").read_bytes() == probe


def test_grubs_own_words_are_in_the_error_and_the_mounts_go(jail: Jail, tree: Path, scratch: Path) -> None:
    (tree / "etc/broken").touch()
    with pytest.raises(CommandFailedError, match=r"grub-mkconfig -o /boot/grub/grub\.cfg") as caught:
        install_grub(jail, tree, scratch, LAYOUT)
    assert caught.value.tail == "Syntax errors are detected"
    assert _mounts_below(jail, tree) == []


def test_what_lies_on_the_esp(tree: Path) -> None:
    files = esp_files(tree, LAYOUT)
    removable = {name: files[f"EFI/BOOT/{name}"] for name in ("BOOTX64.EFI", "grubx64.efi", "mmx64.efi")}
    assert {name: Path(source).read_text() for name, source in removable.items()} == {
        "BOOTX64.EFI": "signed shim",
        "grubx64.efi": "signed grub",
        "mmx64.efi": "signed mok manager",
    }
    assert files["EFI/debian/shimx64.efi"] == removable["BOOTX64.EFI"]
    assert files["EFI/debian/grubx64.efi"] == removable["grubx64.efi"]
    config = files["EFI/debian/grub.cfg"]
    assert isinstance(config, str)
    assert config.splitlines()[0] == f"search.fs_uuid {LAYOUT.root_uuid} root hd0,gpt1"
    assert config.endswith("configfile $prefix/grub.cfg\n")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    made = tmp_path / "disk.raw"
    made.write_bytes(bytes(4096))
    return made


def test_the_boot_sector_is_written_into_the_disk(jail: Jail, tree: Path, scratch: Path, disk: Path) -> None:
    install_grub(jail, tree, scratch, LAYOUT)
    install_bios_boot_sector(jail, tree, scratch, disk)
    content = disk.read_bytes()
    assert content.startswith(b"GRUB --directory\0")
    assert len(content) == 4096
    assert not (tree / "disk.raw").exists()
    assert _mounts_below(jail, tree) == []


def test_a_boot_sector_that_grub_refuses_to_write(jail: Jail, tree: Path, scratch: Path, disk: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"no core\.img"):
        install_bios_boot_sector(jail, tree, scratch, disk)
    assert disk.read_bytes() == bytes(4096)
