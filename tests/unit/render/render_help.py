"""A small root in which a rendered boothook really runs."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from goldsmith.render.cloud_config import Rendered
from goldsmith.render.userdata import BOOTHOOK

#: folders of the host that hold programs and their libraries; /usr itself belongs to the root
_BORROWED = ("/usr/bin", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
#: stands in for every program that would reach for a running systemd or a package manager, and notes its words
_STAND_IN = """\
#!/bin/sh
echo "${0##*/} $*" >> /calls
[ ! -x "/answers/${0##*/}" ] || exec "/answers/${0##*/}" "$@"
"""
STAND_INS = ("systemctl", "udevadm", "update-grub", "apt-get", "dpkg-query", "netplan", "sleep", "networkctl", "ip")


@dataclass
class Root:
    """A root with the host's programs, its own /etc, /var and /usr/lib, and no systemd behind systemctl."""

    folder: Path
    #: program -> body of a shell script that answers for it
    answers: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (
            "etc",
            "var/lib/cloud/instance/sem",
            "tmp",
            "proc",
            "dev",
            "run",
            "answers",
            "usr/local/bin",
            "usr/sbin",
        ):
            (self.folder / name).mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.folder / name).symlink_to(f"usr/{name}")
        (self.folder / "etc/os-release").write_text('ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n')
        (self.folder / "dev/null").touch()
        (self.folder / "calls").touch()
        for name in STAND_INS:
            path = self.folder / "usr/local/bin" / name
            path.write_text(_STAND_IN)
            path.chmod(0o755)
        self.answers.setdefault("dpkg-query", "echo installed")
        self.answers.setdefault("systemctl", "exit 0")

    def boot(self, rendered: Rendered) -> subprocess.CompletedProcess[str]:
        """What cloud-init does with a boothook, in user and mount namespaces of our own."""
        for name, body in self.answers.items():
            path = self.folder / "answers" / name
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)
        hook = self.folder / "var/lib/cloud/boothook"
        hook.write_text(rendered.document.removeprefix(BOOTHOOK))
        hook.chmod(0o700)
        mounts = ["set -e", f"cd '{self.folder}'"]
        for source in _BORROWED:
            if Path(source).is_dir():
                # Read-only: what a script does to a program must not reach the host's.
                mounts.append(f"mkdir -p .{source}; mount --bind {source} .{source}")
                mounts.append(f"mount -o remount,bind,ro .{source}")
        mounts.append("mount --bind /dev/null dev/null; exec chroot . /var/lib/cloud/boothook")
        argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "\n".join(mounts)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def exists(self, name: str) -> bool:
        return (self.folder / name).exists()
