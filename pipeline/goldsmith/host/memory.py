"""How much memory there is to be had."""

from __future__ import annotations

import re
from pathlib import Path


def available_memory(meminfo: Path = Path("/proc/meminfo"), limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes that can be had: the kernel's own estimate, or a container's limit where that is lower."""
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", meminfo.read_text(), re.MULTILINE)
    memory = int(match.group(1)) * 1024 if match else 0
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(memory, int(text)) if text.isdigit() else memory
