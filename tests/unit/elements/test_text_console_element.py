"""The element text-console on GRUB as Debian, Ubuntu, EL7, EL8 and EL9 have it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import yaml
from elements_help import ELEMENTS
from grub_trees import STUB, GrubTree

from goldsmith.recipe import dib

NAME = "text-console"
FAMILIES = ["debian", "ubuntu", "el7", "el8", "el9"]
RED_HAT = ["el7", "el8", "el9"]
WORDS = [
    "nofb", "nomodeset", "gfxpayload=text", "initcall_blacklist=sysfb_init", "video=efifb:off", "consoleblank=0",
    "console=tty0", "console=ttyS0,115200",
]  # fmt: skip


#: guests that are proven on these trees alone
_PROVEN = {"ubuntu": "ubuntu-24.04", "el9": "rocky-9"}


@pytest.fixture(
    params=[
        pytest.param(family, marks=pytest.mark.fixture_tested(NAME, _PROVEN[family]) if family in _PROVEN else ())
        for family in FAMILIES
    ]
)
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> GrubTree:
    made = GrubTree(tmp_path / "root", request.param)
    made.generate()
    return made


def install(tree: GrubTree, **variables: str) -> None:
    tree.phase(NAME, "finalise.d", **variables)


def snapshot(tree: GrubTree) -> dict[str, str]:
    return {
        str(path.relative_to(tree.root)): path.read_text()
        for folder in ("etc/default", "etc/kernel", "boot")
        for path in (tree.root / folder).rglob("*")
        if path.is_file()
    }


def check(tree: GrubTree, name: str, serial: str = "ttyS0,115200") -> tuple[str, str]:
    """What a command check of the element gives in the tree, and what it wants."""
    checks = yaml.safe_load((ELEMENTS / NAME / "checks.yaml").read_text())["checks"]
    (found,) = [each["command"] for each in checks if each["id"] == name]
    return tree.chroot("sh", "-c", found["run"].replace("${serial}", serial)).stdout, str(found["stdout"])


def test_every_kernel_gets_each_word_once(tree: GrubTree) -> None:
    assert all("nomodeset" not in words for words in tree.started_with())
    install(tree)
    for words in tree.started_with():
        assert {word: words.count(word) for word in WORDS} == dict.fromkeys(WORDS, 1)
        assert words[0] == "root=UUID=1"
        assert [word for word in words if word.startswith("console=")][-1].startswith("console=ttyS0")


def test_what_was_there_stays(tree: GrubTree) -> None:
    before = [set(words) for words in tree.started_with()]
    install(tree)
    for old, new in zip(before, tree.started_with(), strict=True):
        assert old <= set(new)


def test_twice_changes_nothing(tree: GrubTree) -> None:
    install(tree)
    before = snapshot(tree)
    install(tree)
    assert snapshot(tree) == before


def test_grub_talks_to_the_serial_console(tree: GrubTree) -> None:
    install(tree, DIB_TEXT_CONSOLE_SERIAL="ttyS1,9600n8", DIB_TEXT_CONSOLE_TIMEOUT="7")
    lines = tree.read(tree.config).splitlines()
    assert lines[1:4] == [
        "serial --speed=9600 --unit=1 --word=8 --parity=no --stop=1",
        "terminal_input serial console",
        "terminal_output serial console",
    ]
    assert "set timeout=7 os_prober=true" in lines
    assert all("console=ttyS1,9600n8" in words for words in tree.started_with())
    assert tree.enabled("serial-getty@ttyS1.service")
    assert tree.enabled("getty@tty1.service")


def test_the_checks_tell_a_tree_with_it_from_one_without(tree: GrubTree) -> None:
    settings, _ = check(tree, "grub-settings")
    assert "no nomodeset in GRUB's settings" in settings
    assert "terminal: serial console" not in settings
    assert "terminal_output serial console\n" not in check(tree, "grub-terminal")[0]
    install(tree)
    settings, wanted = check(tree, "grub-settings")
    assert settings == "terminal: serial console\n"
    assert "terminal: serial console" in wanted
    assert "\nterminal_output serial console\n" in check(tree, "grub-terminal")[0]


@pytest.mark.parametrize("family", RED_HAT)
def test_a_kernel_to_come_gets_them(tmp_path: Path, family: str) -> None:
    tree = GrubTree(tmp_path / "root", family)
    tree.generate()
    install(tree)
    settings = tree.read("etc/default/grub")
    assert all(settings.count(f"{word} ") + settings.count(f'{word}"') == 1 for word in WORDS)
    assert not any(line.startswith("GRUB_TERMINAL_OUTPUT") for line in settings.splitlines())
    assert "GRUB_DISTRIBUTOR=\"$(sed 's, release .*$,,g' /etc/system-release)\"\n" in settings
    cmdline = tree.root / "etc/kernel/cmdline"
    assert cmdline.exists() == (family == "el9")
    if family == "el9":
        words = cmdline.read_text().split()
        assert {word: words.count(word) for word in WORDS} == dict.fromkeys(WORDS, 1)
        # 20-grub.install would run grub2-mkconfig, as if somebody had changed the settings by hand
        assert cmdline.stat().st_mtime_ns >= (tree.root / "etc/default/grub").stat().st_mtime_ns


def test_the_check_sees_a_kernel_to_come_without_them(tmp_path: Path) -> None:
    tree = GrubTree(tmp_path / "root", "el9")
    install(tree)
    tree.write("etc/kernel/cmdline", "root=UUID=1 ro\n")
    assert "no nomodeset in /etc/kernel/cmdline\n" in check(tree, "grub-settings")[0]


def test_without_grubby_the_files_are_still_right(tmp_path: Path) -> None:
    tree = GrubTree(tmp_path / "root", "el9")
    (tree.root / "usr/sbin/grubby").unlink()
    install(tree)
    words = tree.read("etc/kernel/cmdline").split()
    assert {word: words.count(word) for word in WORDS} == dict.fromkeys(WORDS, 1)


def test_the_stub_on_the_esp_of_el9_stays(tmp_path: Path) -> None:
    tree = GrubTree(tmp_path / "root", "el9")
    tree.generate()
    tree.write("boot/efi/EFI/rocky/grub.cfg", STUB)
    install(tree)
    assert tree.read("boot/efi/EFI/rocky/grub.cfg") == STUB


@pytest.mark.parametrize("family", ["el7", "el8"])
def test_the_whole_configuration_on_the_esp_is_made_anew(tmp_path: Path, family: str) -> None:
    tree = GrubTree(tmp_path / "root", family)
    tree.generate()
    tree.generate("boot/efi/EFI/centos/grub.cfg")
    install(tree)
    assert "terminal_output serial console\n" in tree.read("boot/efi/EFI/centos/grub.cfg")


def test_el7_stays_bootable_by_uefi(tmp_path: Path) -> None:
    """linux16 is no command of GRUB's under UEFI, and what grub2-mkconfig writes on a BIOS host."""
    tree = GrubTree(tmp_path / "root", "el7")
    tree.generate("boot/efi/EFI/centos/grub.cfg")
    esp = tree.root / "boot/efi/EFI/centos/grub.cfg"
    esp.write_text(esp.read_text().replace("linux16", "linuxefi"))
    install(tree)
    assert "\tlinuxefi /boot/vmlinuz root=UUID=1" in esp.read_text()
    assert "linux16" not in esp.read_text()


def test_where_there_is_no_configuration_yet_none_is_made(tmp_path: Path) -> None:
    tree = GrubTree(tmp_path / "root", "debian")
    install(tree)
    assert not (tree.root / tree.config).exists()


def test_a_mkconfig_that_fails_stops_the_build(tmp_path: Path) -> None:
    tree = GrubTree(tmp_path / "root", "debian")
    tree.generate()
    text = tree.read("usr/sbin/grub-mkconfig")
    tree.executable("grub-mkconfig", text.replace("#!/bin/bash\n", "#!/bin/bash\necho no root >&2; exit 1\n"))
    done = tree.phase(NAME, "finalise.d", check=False)
    assert done.returncode != 0
    assert "no root" in done.stderr


def test_settings_with_quotes_survive(tmp_path: Path) -> None:
    tree = GrubTree(tmp_path / "root", "el7")
    tree.write("etc/default/grub", 'GRUB_CMDLINE_LINUX=\'a="x" b=$y\'\nGRUB_CMDLINE_LINUX+=" c"\n')
    install(tree)
    install(tree)
    (line,) = [line for line in tree.read("etc/default/grub").splitlines() if line.startswith("GRUB_CMDLINE_LINUX")]
    assert line.startswith(r'GRUB_CMDLINE_LINUX="a=\"x\" b=\$y c nofb ')


@pytest.mark.parametrize("serial", ["ttyS0", "ttyS,9600", "ttyS0,fast", "ttyS0,9600; reboot"])
def test_a_serial_console_that_is_none_is_refused(tmp_path: Path, serial: str) -> None:
    tree = GrubTree(tmp_path / "root", "debian")
    done = tree.phase(NAME, "finalise.d", check=False, DIB_TEXT_CONSOLE_SERIAL=serial)
    assert done.returncode == 1
    assert f"DIB_TEXT_CONSOLE_SERIAL is '{serial}'" in done.stdout
    assert not (tree.root / "etc/default/grub.d").exists()


def run_dibs_bootloader(tree: GrubTree) -> None:
    """DIB's own script, with no disk to install to, after both environment.d as DIB orders them."""
    element = dib.elements_folder() / "bootloader"
    shutil.copy(element / "finalise.d/50-bootloader", tree.root / "tmp/50-bootloader")
    files = [*(ELEMENTS / NAME / "environment.d").iterdir(), *(element / "environment.d").iterdir()]
    lines = ["set -eu", "ARCH=amd64 IMAGE_BLOCK_DEVICE=/dev/x IMAGE_BLOCK_DEVICES= DIB_ROOT_LABEL=root DIB_BOOT_LABEL="]
    lines += ["export ARCH IMAGE_BLOCK_DEVICE IMAGE_BLOCK_DEVICES DIB_ROOT_LABEL DIB_BOOT_LABEL"]
    for file in sorted(files, key=lambda path: path.name):
        shutil.copy(file, tree.root / "tmp" / file.name)
        lines.append(f". /tmp/{file.name}")
    tree.executable("install-packages", "#!/bin/sh\n")
    name = "grub2" if tree.family.startswith("el") else "grub"
    tree.executable(f"{name}-install", "#!/bin/sh\necho 'grub-install (GRUB) 2.06'\n")
    tree.chroot("bash", "-c", "\n".join([*lines, "exec bash /tmp/50-bootloader"]))


def test_after_dibs_bootloader_nothing_is_repeated(tree: GrubTree) -> None:
    if tree.family == "el9":
        # as in a fresh tree: nothing but /etc/default/grub says what kernels are started with
        (tree.root / "etc/kernel/cmdline").unlink()
    run_dibs_bootloader(tree)
    assert "nomodeset" in tree.read("etc/default/grub")
    install(tree)
    for words in tree.started_with():
        assert {word: words.count(word) for word in WORDS} == dict.fromkeys(WORDS, 1)
        # On Ubuntu the file of its cloud images sets the variable anew, after what DIB wrote.
        assert ("no_timer_check" in words) == (tree.family != "ubuntu")
    assert "terminal_output serial console\n" in tree.read(tree.config)


def boot(tree: GrubTree, arguments: str) -> tuple[int, str, bool]:
    """boot.d under this host's kernel: its status, words, and whether it asked for a reboot."""
    shutil.copy(ELEMENTS / NAME / "boot.d/60-text-console", tree.root / "tmp/boot")
    (tree.root / "run/wanted").mkdir(exist_ok=True)
    environment = {"TEXT_CONSOLE_ARGUMENTS": arguments, "GOLDSMITH_BOOT": "/run/wanted"}
    done = tree.chroot("/tmp/boot", check=False, environment=environment)
    return done.returncode, done.stdout, (tree.root / "run/wanted/reboot").exists()


def test_a_kernel_started_without_them_needs_a_reboot(tree: GrubTree) -> None:
    assert boot(tree, "surely=not") == (0, "the kernel was started without surely=not\n", True)


def test_a_kernel_started_with_them_needs_none(tree: GrubTree) -> None:
    started = Path("/proc/cmdline").read_text().split()
    assert boot(tree, " ".join(started[:2])) == (0, "", False)


def test_at_boot_without_grub_it_says_so(tree: GrubTree) -> None:
    for name in ("grub-mkconfig", "grub2-mkconfig"):
        (tree.root / "usr/sbin" / name).unlink(missing_ok=True)
    status, said, wanted = boot(tree, "surely=not")
    assert (status, wanted) == (1, False)
    assert "there is no grub-mkconfig in this image" in said


def test_at_boot_grub_may_look_for_other_systems(tree: GrubTree) -> None:
    install(tree, GOLDSMITH_BOOT="/run")
    assert "os_prober=\n" in tree.read(tree.config)


def test_the_scripts_can_be_run() -> None:
    for script in (*(ELEMENTS / NAME / "finalise.d").iterdir(), *(ELEMENTS / NAME / "boot.d").iterdir()):
        assert os.access(script, os.X_OK)
