"""Whether the kernel's memory killer was at work."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from .cgroup import ROOT, control_files, read

__all__ = ["MemoryKills"]


class MemoryKills:
    """Notices when the kernel killed a process of this control group for want of memory.

    The kernel counts before it kills, so whoever sees the death sees the count. Without a group
    that counts, the whole machine's number is used.
    """

    def __init__(self, root: Path = ROOT) -> None:
        candidates = chain(
            control_files("", "memory.events", root),
            control_files("memory", "memory.oom_control", root),
            [root / "proc/vmstat"],
        )
        self._path = next((path for path in candidates if "oom_kill " in read(path)), None)
        self._seen = self._count()

    def __repr__(self) -> str:
        return f"<MemoryKills: {self._seen} in {self._path}>"

    def grew(self) -> bool:
        """Whether there was another kill since the last call."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        return count(read(self._path)) if self._path else 0


def count(text: str) -> int:
    """The number in the line ``oom_kill N``; 0 where there is none."""
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if name == "oom_kill" and number.strip().isdecimal():
            return int(number)
    return 0
