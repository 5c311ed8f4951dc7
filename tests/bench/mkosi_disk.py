"""mkosi making a disk of the same packages, as far as version 14 of Debian 12 can make it on any host.

A GPT with one ext4 and no boot loader: its boot loader is systemd-boot for UEFI alone, on a partition that the host's
kernel must mount.  It writes a qcow2 that is not compressed, which is compressed afterwards as goldsmith's is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from measure import DEADLINE, Usage, watched
from suite import SYSTEM_PATH

from goldsmith.bake.build import given_variables
from goldsmith.bake.disk import compression
from goldsmith.errors import HostError
from goldsmith.host.jail import Jail, root_jail
from goldsmith.recipe.model import Base
from goldsmith.recipe.plan import Plan
from goldsmith.settings import Settings

PROGRAM = Path("/usr/bin/mkosi")
MKOSI, INCREMENTAL = "mkosi", "mkosi --incremental"
ENVIRONMENT = {"PATH": SYSTEM_PATH}
#: the initrd, which its way of installing kernels leaves out; run outside the tree, so that it needs no systemd-nspawn
_INITRD = """\
#!/bin/sh
set -e
chroot "$BUILDROOT" mount -t proc proc /proc
chroot "$BUILDROOT" update-initramfs -c -k all
chroot "$BUILDROOT" umount /proc
"""


class Mkosi:
    """``folder`` does not exist yet; ``packages`` are names; the mirrors are those that the plan's builds use."""

    def __init__(self, folder: Path, packages: Sequence[str], plan: Plan, settings: Settings) -> None:
        self._folder = folder
        self._settings = settings
        self._plan = plan
        self._packages = packages
        self._ready = False

    def cold(self) -> Usage:
        """From its cache of packages."""
        self._prepare()
        return self._build(incremental=False)

    def incremental(self) -> Usage:
        """From the copy that it keeps of the disk with the packages."""
        self._prepare()
        return self._build(incremental=True)

    def _prepare(self) -> None:
        """A first build, not counted: downloads the packages, leaves the copy of the disk."""
        if self._ready:
            return
        base = self._plan.recipe.base
        if not PROGRAM.exists() or not isinstance(base, Base):
            raise HostError("mkosi is not installed", hint="setup/prepare bench")
        for name in ("cache", "work", "out"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        script = self._folder / "initrd"
        script.write_text(_INITRD)
        script.chmod(0o755)
        # It puts in the security suite's public address, whatever mirror it is given.
        sources = self._folder / "skeleton" / "etc/apt/sources.list.d"
        sources.mkdir(parents=True, exist_ok=True)
        mirrors = given_variables(self._plan, self._settings, 0)
        if url := mirrors.get("DIB_DEBIAN_SECURITY_MIRROR"):
            line = f"deb {url} {base.release}-security main\n"
            (sources / f"{base.release}-security.list").write_text(line)
        self._argv = ["mkosi", "--force", "--distribution", base.distribution, "--release", base.release]
        if url := mirrors.get("DIB_DISTRIBUTION_MIRROR"):
            self._argv += ["--mirror", url]
        self._argv += ["--format", "gpt_ext4", "--bootable", "no", "--with-docs", "yes", "--qcow2", "yes"]
        self._argv += ["--root-size", str(self._plan.recipe.disk.size)]
        for option, name in (
            ("--cache", "cache"),
            ("--workspace-dir", "work"),
            ("--output", "out/disk.qcow2"),
            ("--finalize-script", "initrd"),
            ("--skeleton-tree", "skeleton"),
        ):
            self._argv += [option, str(self._folder / name)]
        for package in self._packages:
            self._argv += ["--package", package]
        self._build(incremental=True)
        self._ready = True

    def _build(self, *, incremental: bool) -> Usage:
        try:
            with watched(self._folder) as watch, root_jail(ENVIRONMENT) as jail:
                self._run(jail, incremental)
                watch.stop()
        finally:
            self._detach()
        return watch.usage

    def _detach(self) -> None:
        """Its loop devices, which the end of a namespace does not take back from a build that was killed."""
        with root_jail(ENVIRONMENT) as jail:
            listed = jail.run(["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"], deadline=30)
            for device, _, file in (line.partition(" ") for line in listed.stdout.splitlines()):
                if Path(file.strip()).is_relative_to(self._folder):
                    jail.run(["losetup", "--detach", device], deadline=30)

    def _run(self, jail: Jail, incremental: bool) -> None:
        argv = [*self._argv, *(["--incremental", "yes"] if incremental else []), "build"]
        # Its folder is the working one, where it looks for settings.
        jail.run(argv, deadline=DEADLINE, cwd=self._folder, log_file=self._folder / "log")
        disk, image = self._folder / "out/disk.qcow2", self._folder / "out/compressed.qcow2"
        jail.run(compression(disk, "qcow2", image, reproducible=False), deadline=DEADLINE)
        jail.run(["rm", "-f", disk, image], deadline=60)
