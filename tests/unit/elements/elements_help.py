"""Places in which elements' shell code can be run for real: a tree of devices, and a root to chroot into."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ELEMENTS = Path(__file__).resolve().parents[3] / "elements"
ROUTE = ELEMENTS / "single-default-route"
ROUTE_SCRIPTS = ROUTE / "static/usr/lib/single-default-route"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
#: shells that may source a hook of dhclient-script: Debian's sh, Red Hat's, and that of small images
SHELLS = [["dash"], ["bash", "--posix"], ["bash"], *([["busybox", "sh"]] if shutil.which("busybox") else [])]


def run(argv: Sequence[str | Path], *, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing in its environment but a PATH and what is given."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"PATH": PATH, **environment})
    assert not check or done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True)
class Devices:
    """A tree with /sys, /run and /etc for the scripts' SYSROOT, and the element's scripts."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> Devices:
        for folder in ("sys/class/net", "sys/bus/pci/devices", "run", "etc", "usr/lib"):
            (root / folder).mkdir(parents=True)
        (root / "usr/lib/single-default-route").symlink_to(ROUTE_SCRIPTS)
        return cls(root)

    def configure(self, choice: str = "first", policy: str = "strip") -> None:
        (self.root / "etc/single-default-route.conf").write_text(f"choice={choice}\npolicy={policy}\n")

    def pci(self, slot: str, *, kind: str = "0x020000", virtio: int | None = None, driver: str = "virtio_net") -> Path:
        """A PCI device, its network device not there yet; the folder that a network device hangs on."""
        pci = self.root / f"sys/devices/pci0000:00/{slot}"
        pci.mkdir(parents=True)
        (pci / "class").write_text(f"{kind}\n")
        (self.root / f"sys/bus/pci/devices/{slot}").symlink_to(pci)
        holder = pci
        if virtio is not None:
            self._driver(pci, "virtio-pci")
            holder = pci / f"virtio{virtio}"
            holder.mkdir()
        self._driver(holder, driver)
        return holder

    def _driver(self, device: Path, name: str) -> None:
        driver = self.root / f"sys/bus/drivers/{name}"
        driver.mkdir(parents=True, exist_ok=True)
        (device / "driver").symlink_to(driver)

    def net(self, holder: Path | None, name: str, mac: str = "fa:16:3e:00:00:01") -> str:
        """A network device; its DEVPATH."""
        folder = (holder or self.root / "sys/devices/virtual") / "net" / name
        folder.mkdir(parents=True)
        (folder / "address").write_text(f"{mac}\n")
        if holder is not None:
            (folder / "device").symlink_to(holder)
        (self.root / f"sys/class/net/{name}").symlink_to(folder)
        return f"/{folder.relative_to(self.root / 'sys')}"

    def two_nics(self) -> None:
        """nic0 in the lower slot, nic1 behind it."""
        for index in (0, 1):
            self.net(self.pci(f"0000:00:0{3 + index}.0", virtio=index), f"nic{index}", mac=f"fa:16:3e:00:0{index}:01")

    def role(self, *arguments: str, **environment: str) -> str:
        """What nic-role says: "primary", "secondary" or "" for what is no NIC."""
        lines = run([ROUTE_SCRIPTS / "nic-role", *arguments], SYSROOT=str(self.root), **environment).stdout.split()
        found = dict(line.split("=") for line in lines)
        return found.get("NIC_ROLE", "")


#: what makes a stack be found, left out of the host's own
_STACKS = {"dhclient", "dhcpcd", "ifup", "NetworkManager", "netplan"}
_UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


class Image:
    """A root to chroot into: the host's programs, no network stack, its own /etc, /run and /usr/lib/systemd.

    An overlay would be simpler; a user namespace may not mount one on every host.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("host/usr", "etc/systemd/system", "run", "var", "tmp", "dev", "proc", "usr"):
            (root / folder).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for name in ("bin", "lib64", "share"):
            (root / "usr" / name).symlink_to(f"/host/usr/{name}")
        self._links("usr/sbin", _STACKS)
        self._links("usr/lib", {"systemd", "udev", "netplan", "single-default-route"})
        self._links("usr/lib/systemd", {"network", "system", "system-generators"})
        for folder in ("network", "system", "system-generators"):
            (root / "usr/lib/systemd" / folder).mkdir()
        for link in (root / "usr/bin", root / "usr/share"):
            assert link.is_symlink()
        self.unit("systemd-networkd.service")

    def _links(self, folder: str, without: set[str]) -> None:
        (self.root / folder).mkdir()
        for name in (path.name for path in Path("/", folder).iterdir()):
            if name not in without:
                (self.root / folder / name).symlink_to(f"/host/{folder}/{name}")

    def unit(self, name: str) -> None:
        (self.root / "usr/lib/systemd/system" / name).write_text(_UNIT)

    def write(self, path: str, text: str = "", mode: int = 0o644) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def read(self, path: str) -> str:
        return (self.root / path.lstrip("/")).read_text()

    def program(self, name: str) -> None:
        self.write(f"usr/sbin/{name}", "#!/bin/sh\n", 0o755)

    def enable(self, unit: str) -> None:
        self.chroot("systemctl", "enable", unit)

    def enabled(self, unit: str) -> bool:
        # The links lead nowhere outside of the root.
        return any((folder / unit).is_symlink() for folder in (self.root / "etc/systemd/system").glob("*.wants"))

    def lay(self, element: str) -> None:
        """What DIB's install-static does."""
        static = ELEMENTS / element / "static"
        if static.is_dir():
            shutil.copytree(static, self.root, dirs_exist_ok=True, symlinks=True)

    def chroot(
        self, *argv: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        script = 'mount --rbind /usr "$0/host/usr" && mount --rbind /dev "$0/dev" && mount --rbind /proc "$0/proc" && '
        script += 'r=$0 && exec chroot "$r" "$@"'
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, self.root, *argv]
        return run(words, check=check, SYSTEMD_OFFLINE="1", **(environment or {}))

    def phase(self, element: str, phase: str, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run an element's script of a phase, with its environment.d before it as DIB does."""
        folder = ELEMENTS / element
        (script,) = (folder / phase).iterdir()
        shutil.copy(script, self.root / "tmp/script")
        lines = ["set -eu"]
        for file in sorted((folder / "environment.d").glob("*")):
            shutil.copy(file, self.root / "tmp" / file.name)
            lines.append(f". /tmp/{file.name}")
        lines.append("exec /tmp/script")
        return self.chroot("bash", "-c", "\n".join(lines), check=check, environment=variables)
