"""How much memory this machine has left for us."""

from __future__ import annotations

import os
import re
from pathlib import Path


def available_bytes() -> int:
    """Main memory that can be had without swapping: what the kernel says, or a container's limit if that is less.

    Where the system does not say what is available (macOS), a quarter of what is installed.
    """
    limits = [_of_the_machine()]
    try:
        group = Path("/sys/fs/cgroup")
        limits.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        pass
    return max(min(limits), 0)


def _of_the_machine() -> int:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    if found is None:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4
    return int(found[1]) * 1024
