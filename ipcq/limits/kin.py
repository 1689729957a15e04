"""The processes that a process started, and those that they started, and their ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

__all__ = ["adopt_orphans", "descendants", "end_kin", "resident_bytes_of"]

_PR_SET_CHILD_SUBREAPER = 36
_ROUNDS = 20  # each finds what the ones found before had started; a fork bomb is no reason to stay here


def adopt_orphans() -> None:
    """Keep what this process's children leave behind, daemons too, its own (Linux): so `end_kin` finds it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int) -> set[int]:
    """All processes below one, those that ended but were not waited for left out."""
    if sys.platform != "linux":
        import psutil

        with suppress(psutil.Error):
            return {child.pid for child in psutil.Process(pid).children(recursive=True)}
        return set()
    parents = dict(filter(None, map(_parent_of, filter(str.isdecimal, os.listdir("/proc")))))
    found: set[int] = set()
    level = {pid}
    while level:
        level = {child for child, parent in parents.items() if parent in level} - found
        found |= level
    return found


def _parent_of(name: str) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{name}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:  # it ended
        return None
    return (int(name), int(fields[1])) if fields[0] not in (b"Z", b"X") else None


def end_kin(pid: int, *, itself: bool, kin: Callable[[int], set[int]] = descendants) -> None:
    """Kill all processes below one, and that one, too, if ``itself``.

    Each is stopped before its children are looked for: so it starts no more, and waits for none, whose
    number could become another's. Killed one by one, they would come under somebody else, and be lost.

    Args:
        kin: finds them; for tests.
    """
    stopped: list[int] = []
    if itself:
        _signal(pid, signal.SIGSTOP)
    for _ in range(_ROUNDS):
        new = kin(pid) - set(stopped)
        if not new:
            break
        for each in new:
            _signal(each, signal.SIGSTOP)
        stopped += new
    for each in [*stopped, pid] if itself else stopped:
        _signal(each, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # it ended; it is somebody else's now
        os.kill(pid, number)


def resident_bytes_of(pid: int) -> int:
    """Resident memory of a process; 0 where it cannot be read."""
    if sys.platform != "linux":
        import psutil

        with suppress(psutil.Error):
            return int(psutil.Process(pid).memory_info().rss)
        return 0
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
