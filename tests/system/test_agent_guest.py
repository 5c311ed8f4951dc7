"""A guest without systemd and cloud-init, whose QEMU guest agent runs the commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_guests import SmallGuests, entry, install, shell_initrd, skeleton, write

from goldsmith.boot.accelerator import Accelerator
from goldsmith.host.files import file_digest
from goldsmith.host.progress import Progress
from goldsmith.recipe.plan import PlannedCheck
from goldsmith.verify.report import Report
from goldsmith.verify.session import verify_image

pytestmark = pytest.mark.system

MODULES = ("virtio", "virtio_ring", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "virtio_console")
INIT = """\
#!/bin/sh
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
mkdir -p /run /var/run
# Which of them needs which differs from kernel to kernel.
for round in 1 2 3 4; do
    for module in /lib/modules/*.ko; do insmod $module 2>/dev/null; done
done
/sbin/agetty -L 115200 ttyS0 vt220 &
while :; do
    for port in /sys/class/virtio-ports/*; do
        [ -e $port/name ] || continue
        [ "$(cat $port/name)" != org.qemu.guest_agent.0 ] || qemu-ga -m virtio-serial -p /dev/${port##*/} -t /run
    done
    sleep 1
done
"""
PROGRAMS = ["agetty", "qemu-ga", "insmod", "cat", "mkdir", "timeout", "ip", "uname", "basename", "readlink"]


BUILT_IN = ("settled", "no-failed-units", "login-prompt", "image-unchanged")


class AgentGuests(SmallGuests):
    """Disks whose kernel runs the guest agent from its initrd, and whose root shows that it is installed."""

    def make(self) -> Path:
        self.prepare()
        (kernel,) = {path.name[8:] for path in Path("/boot").glob("vmlinuz-*")} & {
            path.name for path in Path("/lib/modules").iterdir()
        }
        root = self.folder / "agent"
        modules = root / "usr/lib/modules"
        modules.mkdir(parents=True)
        for found in Path("/lib/modules", kernel).rglob("*.ko"):
            if found.stem in MODULES:
                shutil.copy(found, modules)
        shell_initrd(root, self.folder / "boot/agent.img", INIT, PROGRAMS)
        return self.disk("agent", self.base("agent", self._root), entry(initrd="agent.img"))

    @staticmethod
    def _root(root: Path) -> None:
        skeleton(root)
        install(root, ["qemu-ga"])
        write(root, "etc/os-release", 'ID=small\nPRETTY_NAME="small guest"\n')


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return AgentGuests(tmp_path_factory.mktemp("agent")).make()


@pytest.fixture(scope="module")
def report(image: Path, workshop, accelerator: Accelerator, tmp_path_factory: pytest.TempPathFactory) -> Report:
    asked = (
        ("sum", {"run": "echo $((6 * 7))", "stdout": {"equals": "42"}}),
        ("status", {"run": "exit 3", "returncode": 3}),
        ("wrong", {"run": "echo this", "stdout": {"equals": "that"}}),
    )
    checks = [
        PlannedCheck("agent", name, {"id": name, "says": "commands go through it", "command": spec})
        for name, spec in asked
    ]
    return verify_image(
        image,
        checks,
        ("bios",),
        workshop.settings,
        Progress(),
        accelerator=accelerator,
        artefacts=tmp_path_factory.mktemp("artefacts"),
        target=str(image),
        # Nothing in it looks at the power button.
        only=[f"goldsmith/{name}" for name in BUILT_IN] + [check.element + "/" + check.id for check in checks],
    )


def test_commands_go_through_the_agent(report: Report) -> None:
    assert report.channel.startswith("agent: there is no systemd in the image, and QEMU's guest agent is")
    found = {verdict.name: verdict.status for verdict in report.verdicts}
    assert found["goldsmith/settled"] == "pass"
    assert found["agent/sum"] == "pass"
    assert found["agent/status"] == "pass"
    assert found["agent/wrong"] == "fail"
    assert found["goldsmith/login-prompt"] == "pass"
    assert found["goldsmith/image-unchanged"] == "pass"


def test_the_image_is_as_it_was(report: Report, image: Path) -> None:
    assert file_digest(image) == report.sha256
