"""Kernel arguments and sysctls by what lies on a disk."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from goldsmith.errors import HarnessError
from goldsmith.verify.kinds import boot_menu, sysctl_files
from goldsmith.verify.kinds.guest import KernelArgumentAssertion, SysctlAssertion
from goldsmith.verify.tree import FolderTree

#: as grub-mkconfig of Debian writes it, shortened
DEBIAN = """\
set default="0"
menuentry 'Debian GNU/Linux' --class debian --class os $menuentry_id_option 'gnulinux-simple-1' {
\tload_video
\tlinux\t/boot/vmlinuz-6.12.0-amd64 root=UUID=1-2 ro nofb console=ttyS0,115200 quiet "spaced=a b"
\tinitrd\t/boot/initrd.img-6.12.0-amd64
}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-1' {
\tmenuentry 'Debian GNU/Linux, with Linux 6.12.0-amd64' --class debian {
\t\tlinux\t/boot/vmlinuz-6.12.0-amd64 root=UUID=1-2 ro nofb console=ttyS0,115200 quiet
\t}
\tmenuentry 'Debian GNU/Linux, with Linux 6.12.0-amd64 (recovery mode)' --class debian {
\t\tlinux\t/boot/vmlinuz-6.12.0-amd64 root=UUID=1-2 ro single
\t}
}
"""
#: as grub2-mkconfig of the Red Hat family writes it, shortened
RED_HAT = """\
if [ -z "${kernelopts}" ]; then
  set kernelopts="root=UUID=1-2 ro default-arguments"
fi
insmod blscfg
blscfg
"""
ENTRY = """\
title Rocky Linux (5.14.0-1.el9.x86_64) 9.6
version 5.14.0-1.el9.x86_64
linux /boot/vmlinuz-5.14.0-1.el9.x86_64
options root=UUID=1-2 ro nofb console=ttyS0,115200 $tuned_params
"""


def write(root: Path, **files: str) -> FolderTree:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return FolderTree(root)


def arguments(tree: FolderTree, **asked: Any) -> list[tuple[str, str]]:
    assertion = KernelArgumentAssertion.model_validate(asked)
    return [(f.expected, f.seen) for f in boot_menu.kernel_argument(assertion, tree)]


def test_arguments_of_grub_cfg(tmp_path: Path) -> None:
    tree = write(tmp_path, **{"boot/grub/grub.cfg": DEBIAN})
    assert arguments(tree, present=["nofb", "console=ttyS0,115200", "root"], absent=["single", "rhgb"]) == []
    found = arguments(tree, present=["nomodeset"])
    assert [expected for expected, _ in found] == [
        "the entry 'Debian GNU/Linux' has nomodeset",
        "the entry 'Debian GNU/Linux, with Linux 6.12.0-amd64' has nomodeset",
    ]
    assert found[0][1].startswith("/boot/grub/grub.cfg: root=UUID=1-2 ro nofb")
    assert len(arguments(tree, absent=["quiet"])) == 2
    only_one = write(tmp_path, **{"boot/grub/grub.cfg": DEBIAN.replace(" quiet\n\t}", "\n\t}")})
    assert [expected for expected, _ in arguments(only_one, present=["quiet"])] == [
        "the entry 'Debian GNU/Linux, with Linux 6.12.0-amd64' has quiet"
    ]


def test_a_word_twice(tmp_path: Path) -> None:
    tree = write(tmp_path, **{"boot/grub/grub.cfg": DEBIAN.replace("nofb", "nofb nofb")})
    assert arguments(tree, present=["nofb"])[0][0] == "the entry 'Debian GNU/Linux' has nofb once"


def test_arguments_of_loader_entries(tmp_path: Path) -> None:
    entries = "boot/loader/entries"
    tree = write(
        tmp_path,
        **{
            "boot/grub2/grub.cfg": RED_HAT,
            "boot/grub2/grubenv": "# GRUB Environment Block\ntuned_params=skew_tick=1\n####",
            f"{entries}/1-5.14.conf": ENTRY,
            f"{entries}/1-0-rescue.conf": "title Rocky Linux (0-rescue-1)\nlinux /vmlinuz\noptions ro\n",
        },
    )
    assert arguments(tree, present=["nofb", "skew_tick=1"], absent=["default-arguments", "$tuned_params"]) == []
    (found,) = arguments(tree, present=["nomodeset"])
    assert found[0] == "the entry 'Rocky Linux (5.14.0-1.el9.x86_64) 9.6' has nomodeset"
    assert found[1].startswith(f"/{entries}/1-5.14.conf: ")


@pytest.mark.parametrize(
    ("environment", "present"),
    [("# GRUB\nkernelopts=root=UUID=1-2 ro of-grubenv\n", "of-grubenv"), ("# GRUB\n", "default-arguments")],
)
def test_entries_that_take_variables(tmp_path: Path, environment: str, present: str) -> None:
    entry = re.sub("options .*", "options $kernelopts ${unknown} last", ENTRY)
    files = {
        "boot/grub2/grub.cfg": RED_HAT,
        "boot/grub2/grubenv": environment,
        "boot/loader/entries/1.conf": entry,
    }
    tree = write(tmp_path, **files)
    assert arguments(tree, present=[present, "root=UUID=1-2", "last"], absent=["${unknown}"]) == []
    other = {"of-grubenv", "default-arguments"} - {present}
    assert arguments(tree, present=sorted(other)) != []


def test_entries_that_grub_does_not_read_do_not_count(tmp_path: Path) -> None:
    tree = write(tmp_path, **{"boot/grub/grub.cfg": DEBIAN, "boot/loader/entries/1.conf": "title x\noptions y\n"})
    assert arguments(tree, present=["nofb"]) == []


@pytest.mark.parametrize("text", ["", "insmod part_gpt\n", "menuentry 'x' {\n}\n", "\0" * 4096, "linux /vmlinuz nofb"])
def test_a_menu_without_entries_says_nothing(tmp_path: Path, text: str) -> None:
    with pytest.raises(HarnessError, match="no entry of GRUB's menu") as caught:
        arguments(write(tmp_path, **{"boot/grub/grub.cfg": text}), absent=["nofb"])
    assert "layers: [live]" in str(caught.value)


def sysctl(tree: FolderTree, name: str, equals: str | int) -> list[tuple[str, str]]:
    return [(f.expected, f.seen) for f in sysctl_files.sysctl(SysctlAssertion(name=name, equals=equals), tree)]


FILES = {
    "usr/lib/sysctl.d/50-default.conf": (
        "# a comment\n; another\n\nkernel.sysrq = 0x01b6\nnet.ipv4.conf.*.rp_filter = 2\n"
    ),
    "usr/lib/sysctl.d/10-hidden.conf": "vm.swappiness = 1\n",
    "etc/sysctl.d/10-hidden.conf": "vm.dirty_ratio=5\n",
    "usr/local/lib/sysctl.d/60-local.conf": "kernel/sysrq=1\n-fs.file-max =  9\n",
    "etc/sysctl.d/20-early.conf": "kernel.sysrq = 0\nnet.ipv4.conf.eth0/100.rp_filter = 0\n",
    "etc/sysctl.d/70-range.conf": "net.ipv4.ip_local_port_range = 1024\t65000\n-net.ipv4.conf.lo.rp_filter\nrubbish\n",
    "etc/sysctl.d/ignored": "kernel.panic = 9\n",
    "etc/sysctl.conf": "kernel.panic = 9\n",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel.sysrq", 1),
        ("kernel/sysrq", 1),
        ("vm.dirty_ratio", 5),
        ("fs.file-max", 9),
        ("net.ipv4.ip_local_port_range", "1024 65000"),
        ("net.ipv4.conf.all.rp_filter", 2),
        ("net/ipv4/conf/eth0.100/rp_filter", 0),
    ],
)
def test_what_sysctl_d_sets(tmp_path: Path, name: str, value: str | int) -> None:
    tree = write(tmp_path, **FILES)
    assert sysctl(tree, name, value) == []
    ((expected, seen),) = sysctl(tree, name, 77)
    assert expected == f"{name} is set to 77"
    assert "sysctl.d/" in seen


@pytest.mark.parametrize(
    "name",
    ["vm.swappiness", "kernel.panic", "net.ipv4.conf.lo.rp_filter", "net.ipv4.conf.a.b.rp_filter", "kernel.sysr"],
)
def test_what_sysctl_d_does_not_set(tmp_path: Path, name: str) -> None:
    assert sysctl(write(tmp_path, **FILES), name, 1)[0][1] == "no file of sysctl.d sets it"


def test_a_file_that_is_hidden_by_a_link_to_nothing(tmp_path: Path) -> None:
    tree = write(tmp_path, **FILES)
    (tmp_path / "etc/sysctl.d/60-local.conf").symlink_to("/dev/null")
    assert sysctl(tree, "kernel.sysrq", "0x01b6") == []


def test_systemd_applies_the_files_in_the_same_order(tmp_path: Path) -> None:
    tree = write(tmp_path, **FILES)
    argv = ["systemd-analyze", f"--root={tmp_path}", "cat-config", "--no-pager", "sysctl.d"]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    applied = re.findall(rf"^# {re.escape(str(tmp_path))}(/\S+)$", text, re.MULTILINE)
    assert applied == sysctl_files._files(tree)
    assert len(applied) == 5
