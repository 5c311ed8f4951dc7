"""What a Linux is, by the files of small trees."""

from __future__ import annotations

import time
from pathlib import Path

from inspection_help import fill

from goldsmith.inspection.facts import Unknown, plain, unknowns
from goldsmith.inspection.linux import Linux, linux
from goldsmith.verify.tree import FolderTree

RELEASE = 'ID=debian\nVERSION_ID="13"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n'
MODULES = "usr/lib/modules/6.12.9-cloud-amd64"


def looked(root: Path, files: dict[str, str]) -> Linux:
    return linux(FolderTree(fill(root, files)))


def test_a_debian(tmp_path: Path) -> None:
    facts = looked(
        tmp_path,
        {
            "usr/lib/os-release": RELEASE,
            "etc/os-release": "-> ../usr/lib/os-release",
            f"{MODULES}/modules.builtin": "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/net/virtio_net.ko\n",
            f"{MODULES}/kernel/drivers/block/virtio_blk.ko.xz": "",
            f"{MODULES}/kernel/drivers/char/hw_random/virtio-rng.ko": "",
            "usr/lib/modules/6.9.1-cloud-amd64/modules.builtin": "",
            "usr/lib/modules/empty/": "-> /nowhere",
            "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
            "etc/initramfs-tools/conf.d/x": "MODULES=dep\n",
            "usr/bin/systemctl*": "",
            "usr/sbin/qemu-ga*": "",
            "usr/lib/systemd/system/qemu-guest-agent.service": "[Service]\nExecStart=/usr/sbin/qemu-ga\n",
        },
    )
    assert (facts.id, facts.release, facts.pretty_name) == ("debian", "13", "Debian GNU/Linux 13 (trixie)")
    assert not isinstance(facts.kernels, Unknown) and not isinstance(facts.agents, Unknown)
    assert [kernel.version for kernel in facts.kernels] == ["6.12.9-cloud-amd64", "6.9.1-cloud-amd64"]
    drivers = facts.kernels[0].drivers
    assert {name: drivers[name] for name in ("virtio_blk", "virtio_net", "virtio_rng", "virtio_scsi")} == {
        "virtio_blk": "module",
        "virtio_net": "built in",
        "virtio_rng": "module",
        "virtio_scsi": "missing",
    }
    assert facts.initramfs == "initramfs-tools: MODULES=dep"
    assert [(agent.name, agent.starts) for agent in facts.agents] == [("qemu-guest-agent", True)]
    assert plain(facts)["selinux"] == {"mode": "absent", "policy": "", "relabels": False}


def test_a_rocky(tmp_path: Path) -> None:
    facts = looked(
        tmp_path,
        {
            "etc/os-release": RELEASE.replace("debian", "rocky"),
            "etc/selinux/config": "# x\nSELINUX=enforcing\nSELINUXTYPE=targeted\n",
            ".autorelabel": "",
            "usr/lib/dracut/dracut.conf.d/01-dist.conf": 'hostonly="yes"\n',
            "usr/lib/dracut/dracut.conf.d/02-rescue.conf": "x=y\n",
            "etc/dracut.conf.d/02-generic.conf": 'hostonly="no"\n',
        },
    )
    assert plain(facts)["selinux"] == {"mode": "enforcing", "policy": "targeted", "relabels": True}
    assert facts.initramfs == "dracut: hostonly=no"
    assert (facts.kernels, facts.agents) == ((), ())


def test_an_agent_that_nothing_starts(tmp_path: Path) -> None:
    unit = "[Service]\nExecStart=/usr/bin/qemu-ga\n[Install]\nWantedBy=multi-user.target\n"
    files = {
        "usr/bin/qemu-ga*": "",
        "usr/bin/systemctl*": "",
        "usr/lib/systemd/system/qemu-guest-agent.service": unit,
    }
    facts = looked(tmp_path, files)
    assert not isinstance(facts.agents, Unknown)
    assert [agent.starts for agent in facts.agents] == [False]


def test_an_empty_root_has_reasons(tmp_path: Path) -> None:
    facts = looked(tmp_path, {})
    assert facts.id == Unknown("no ID in os-release")
    assert plain(facts)["release"] == {"unknown": "no VERSION_ID in os-release"}
    assert facts.cloud_init is None
    assert len(unknowns(facts)) >= 5


def test_hostile_files(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(2**33)
    files = {
        "etc/os-release": 'ID="a\x1b[2Jb"\nVERSION_ID=' + "9" * 5000 + "\n",
        "etc/selinux/config": "-> config",
        "boot/grub/grub.cfg": "-> /huge",
        "etc/initramfs-tools/initramfs.conf": "-> /huge",
        "etc/initramfs-tools/conf.d/folder/x": "",
        "usr/lib/modules/6.1/modules.builtin": "-> /huge",
        "etc/single-default-route.conf": "-> ../../../etc/passwd",
        "etc/systemd/network/x.network": "-> /huge",
    }
    facts = looked(tmp_path, files)
    assert facts.id == "a\\x1b[2Jb"
    assert isinstance(facts.release, str) and len(facts.release) < 400
    assert isinstance(facts.console.kernel_arguments, Unknown)
    assert "larger than" in facts.console.kernel_arguments.why


def test_files_that_are_slow_to_search_are_searched_soon(tmp_path: Path) -> None:
    """A pattern that goes over lines, or back and forth in one, would take hours for a MiB."""
    spaces = " " * 2**18
    unit = "[Install]\n" + "\n" * 2**20 + "x"
    files = {
        "boot/grub/grub.cfg": "\n" * 2**20 + f"terminal_output x{spaces}y\n",
        "usr/bin/systemctl*": "",
        "usr/sbin/qemu-ga*": "",
        "usr/lib/systemd/system/qemu-guest-agent.service": unit,
        "etc/systemd/network/x.network": f"{spaces}UseRoutes{spaces}" + "\n" * 2**18,
    }
    started = time.monotonic()
    facts = looked(tmp_path, files)
    assert time.monotonic() - started < 60
    assert facts.network.default_route == ()
