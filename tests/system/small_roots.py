"""Roots of small guests: a systemd of the host's, with the few units that a boot to a login prompt takes."""

from __future__ import annotations

import shutil
from pathlib import Path

from small_guests import install, skeleton, write

from goldsmith.boot.channel import unit_files

_HOST = Path("/usr/lib/systemd")
#: systemd's programs; the last is a part of its own since 255
_SYSTEMD = ["systemd", "systemd-journald", "systemd-shutdown", "systemd-sulogin-shell", "systemd-executor"]
_PROGRAMS = ["systemctl", "journalctl", "sulogin", "agetty", "dash", "mount", "umount", "dd", "sleep", "ip"]
#: what goldsmith's probe uses
_PROBE = ["stty", "cat", "head", "base64", "sed", "wc", "mkdir", "timeout", "rm", "basename", "readlink", "touch"]
#: units as the host has them
_UNITS = [
    "basic.target", "sysinit.target", "local-fs.target", "local-fs-pre.target", "swap.target", "sockets.target",
    "paths.target", "timers.target", "slices.target", "multi-user.target", "emergency.target", "emergency.service",
    "shutdown.target", "umount.target", "final.target", "poweroff.target", "systemd-poweroff.service",
    "systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket", "remote-fs.target",
    "-.slice", "system.slice", "user.slice", "getty.target",
]  # fmt: skip
_GETTY = """\
[Unit]
IgnoreOnIsolate=yes

[Service]
ExecStart=-/sbin/agetty -L 115200 ttyS0 vt220
StandardInput=tty
StandardOutput=tty
TTYPath=/dev/ttyS0
Restart=always
UtmpIdentifier=ttyS0
"""
#: what the guest whose disk is full does at boot, as any service that writes more than there is
_HOARD = """\
[Unit]
Description=Hoards what nobody needs
DefaultDependencies=no
After=local-fs.target
ConditionKernelCommandLine=do=hoard

[Service]
Type=oneshot
ExecStart=/bin/mount -o remount,rw /
ExecStart=/bin/dd if=/dev/zero of=/var/hoard bs=1M
StandardError=journal+console
"""
#: a file system that is not there; the kernel's argument fstab=no leaves it out
_FSTAB = "/dev/disk/by-label/nowhere /data ext4 defaults,x-systemd.device-timeout=2s 0 0\n"


def systemd_root(root: Path) -> None:
    """Fill ``root``: with ``fstab=no`` it comes to a login prompt and takes commands, without to an emergency shell."""
    skeleton(root)
    install(root, [*(str(_HOST / name) for name in _SYSTEMD if (_HOST / name).exists()), *_PROGRAMS, *_PROBE])
    (root / "usr/bin/sh").symlink_to("dash")
    (root / "usr/sbin/init").symlink_to("../lib/systemd/systemd")
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    for name in _UNITS:
        if (_HOST / "system" / name).exists():
            shutil.copy(_HOST / "system" / name, units)
    generators = root / "usr/lib/systemd/system-generators"
    install(root, [str(_HOST / "system-generators/systemd-fstab-generator")])
    assert generators.is_dir()
    write(root, "usr/lib/systemd/system/getty-ttyS0.service", _GETTY)
    write(root, "usr/lib/systemd/system/hoard.service", _HOARD)
    wants = {
        "multi-user.target": ["getty-ttyS0.service", "hoard.service"],
        "sysinit.target": ["systemd-journald.service", "local-fs.target"],
        "sockets.target": ["systemd-journald.socket", "systemd-journald-dev-log.socket"],
    }
    for target, names in wants.items():
        folder = units / f"{target}.wants"
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(f"../{name}")
    (units / "default.target").symlink_to("multi-user.target")
    write(root, "etc/fstab", _FSTAB)
    write(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    write(root, "etc/group", "root:x:0:\ntty:x:5:\n")
    write(root, "etc/shadow", "root:*:19000:0:99999:7:::\n", 0o600)
    write(root, "etc/hostname", "small\n")
    write(root, "etc/machine-id", "")
    for folder in ("data", "var/log", "var/tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    # The guest's end of the channel is part of the image: what is under test is not how it gets there.
    for file in unit_files():
        path = root / file.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
