"""The formats of disk images that goldsmith opens."""

from __future__ import annotations

from typing import Literal

#: QEMU's names; what others call vhd is its vpc
DiskFormat = Literal["qcow2", "raw", "vmdk", "vpc", "vhdx"]
