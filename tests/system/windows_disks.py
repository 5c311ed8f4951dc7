"""Disks that look like Windows: NTFS on an MBR or a GPT, real hives, no Windows.

A program outside the kernel fills the NTFS (ntfs-3g, through FUSE), so root is needed as for the other disks.
libguestfs takes a file system for a Windows by /Windows/System32/config, its hives and cmd.exe (its source,
inspect_fs_windows).
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import windows_samples as samples

MIB = 2**20
#: of the GPT that C: of the hive is made to mean
GPT_SYSTEM = "09931f21-7faf-a94f-81d8-1e73c14b9eaf"
SYSTEM_SIZE, SMALL = 80 * MIB, 16 * MIB
CONFIG = "Windows/System32/config"
DRIVERS = "Windows/System32/drivers"
CLOUDBASE = "Program Files/Cloudbase Solutions/Cloudbase-Init/conf/cloudbase-init.conf"
#: where C: begins: as the real hive has it
START = samples.START
RESERVED = START + SYSTEM_SIZE
#: Windows' words, in the place of its boot code
BOOT_CODE = b"\x33\xc0\x8e\xd0".ljust(355, b"\x90") + b"Invalid partition table\0Missing operating system\0"


@dataclass(frozen=True)
class WindowsDisks:
    folder: Path

    def mbr(
        self,
        name: str,
        files: Mapping[str, bytes] | None = None,
        *,
        edits: samples.Keys | None = None,
        dirty: bool = False,
        hive: bytes | None = None,
    ) -> Path:
        """C: at the beginning, the system reserved partition after it, active.

        SYSTEM is a real one with drivers for virtio and ``edits``, or ``hive``, as it came.
        """
        system = self.folder / f"{name}.SYSTEM"
        if hive:
            system.write_bytes(hive)
        else:
            samples.real_system(system)
            samples.edit(system, {**samples.driver("viostor"), **samples.driver("netkvm", 3), **(edits or {})})
        if dirty:
            samples.make_dirty(system)
        disk = self.folder / f"{name}.raw"
        table = (
            f"label: dos\nlabel-id: 0x{samples.SIGNATURE:08x}\nunit: sectors\n"
            f"1 : start={START // 512}, size={SYSTEM_SIZE // 512}, type=7\n"
            f"2 : start={RESERVED // 512}, size={SMALL // 512}, type=7, bootable\n"
        )
        self._table(disk, RESERVED + SMALL + MIB, table)
        drivers = {f"{DRIVERS}/{driver}.sys": b"x" for driver in ("viostor", "netkvm")}
        programs = {"Windows/System32/cmd.exe": samples.program(0x14C)}
        software = self._software(name)
        contents = {f"{CONFIG}/SYSTEM": system.read_bytes(), f"{CONFIG}/SOFTWARE": software, **drivers, **programs}
        self._put(disk, START, self._ntfs(name, "C", SYSTEM_SIZE, {**contents, **(files or {})}))
        self._put(disk, RESERVED, self._ntfs(name, "System Reserved", SMALL, {"bootmgr": b"x", "Boot/BCD": b"x"}))
        with disk.open("r+b") as stream:
            stream.write(BOOT_CODE)
        return disk

    def gpt(self, name: str, files: Mapping[str, bytes] | None = None) -> Path:
        """EFI system partition, Microsoft reserved, C:; an amd64 whose clock is UTC, with cloudbase-init and agent."""
        system = samples.real_system(self.folder / f"{name}.SYSTEM")
        control = ("ControlSet001", "Control")
        samples.edit(
            system,
            {
                ("MountedDevices",): {"\\DosDevices\\C:": samples.gpt_letter(GPT_SYSTEM)},
                (*control, "TimeZoneInformation"): {"RealTimeIsUniversal": samples.dword(1)},
                (*control, "Session Manager", "Environment"): {"PROCESSOR_ARCHITECTURE": samples.text("AMD64")},
                (*control, "Session Manager", "Power"): {"HiberbootEnabled": samples.dword(1)},
                ("ControlSet001", "Services", "partmgr", "Parameters"): {"SanPolicy": samples.dword(2)},
                (*samples.SERVICES, "QEMU-GA"): {"Start": samples.dword(2)},
                (*samples.SERVICES, "cloudbase-init"): {"Start": samples.dword(2)},
                **samples.driver("vioscsi"),
            },
        )
        disk = self.folder / f"{name}.raw"
        table = (
            "label: gpt\nunit: sectors\n"
            f"1 : start={MIB // 512}, size={SMALL // 512}, type=uefi\n"
            f"2 : start={(MIB + SMALL) // 512}, size={SMALL // 512}, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE\n"
            f"3 : start={(MIB + 2 * SMALL) // 512}, size={SYSTEM_SIZE // 512}, uuid={GPT_SYSTEM},"
            " type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n"
        )
        self._table(disk, 2 * MIB + 2 * SMALL + SYSTEM_SIZE, table)
        contents = {
            f"{CONFIG}/SYSTEM": system.read_bytes(),
            f"{CONFIG}/SOFTWARE": self._software(name),
            "Windows/System32/cmd.exe": samples.program(),
            f"{DRIVERS}/vioscsi.sys": b"x",
            "hiberfil.sys": b"hibr".ljust(8192, b"\0"),
            CLOUDBASE: b"[DEFAULT]\r\nusername=Admin\r\nreal_time_clock_utc=true\r\n",
        }
        self._put(disk, MIB + 2 * SMALL, self._ntfs(name, "C", SYSTEM_SIZE, {**contents, **(files or {})}))
        self._put(disk, MIB, self._fat(name, {"EFI/Boot/bootx64.efi": b"x", "EFI/Microsoft/Boot/bootmgfw.efi": b"x"}))
        return disk

    def _software(self, name: str) -> bytes:
        return samples.new_hive(self.folder / f"{name}.SOFTWARE", samples.software()).read_bytes()

    def _table(self, disk: Path, size: int, script: str) -> None:
        with disk.open("wb") as stream:
            stream.truncate(size)
        subprocess.run(["/usr/sbin/sfdisk", "-q", disk], input=script, text=True, check=True)

    def _put(self, disk: Path, offset: int, partition: Path) -> None:
        argv = ["dd", f"if={partition}", f"of={disk}", "bs=1M", f"seek={offset // MIB}", "conv=notrunc,sparse"]
        subprocess.run(argv, check=True, capture_output=True)

    def _ntfs(self, name: str, label: str, size: int, files: Mapping[str, bytes]) -> Path:
        partition = self.folder / f"{name}-{label.replace(' ', '-')}.ntfs"
        with partition.open("wb") as stream:
            stream.truncate(size)
        argv = ["/usr/sbin/mkntfs", "-q", "-F", "-f", "-L", label, partition]
        subprocess.run(argv, check=True, capture_output=True)
        with self._mounted(partition) as top:
            for path, content in files.items():
                (top / path).parent.mkdir(parents=True, exist_ok=True)
                (top / path).write_bytes(content)
        return partition

    @contextlib.contextmanager
    def _mounted(self, partition: Path) -> Iterator[Path]:
        top = partition.with_suffix(".mount")
        top.mkdir()
        subprocess.run(["ntfs-3g", partition, top], check=True)
        try:
            yield top
        finally:
            subprocess.run(["umount", top], check=True)

    def _fat(self, name: str, files: Mapping[str, bytes]) -> Path:
        partition = self.folder / f"{name}.fat"
        with partition.open("wb") as stream:
            stream.truncate(SMALL)
        subprocess.run(["/usr/sbin/mkfs.fat", partition], check=True, capture_output=True)
        made: set[str] = set()
        for path, content in files.items():
            parents = path.split("/")[:-1]
            for depth in range(1, len(parents) + 1):
                folder = "/".join(parents[:depth])
                if folder.lower() not in made:
                    subprocess.run(["mmd", "-i", partition, f"::{folder}"], check=True, capture_output=True)
                    made.add(folder.lower())
            subprocess.run(["mcopy", "-i", partition, "-", f"::{path}"], input=content, check=True)
        return partition
