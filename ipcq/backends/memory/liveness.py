"""Whether the process behind a participant lives: a kernel fact, never a guess from time.

Dead is: its byte lock is free AND NOT (same pid namespace, the pid exists, with the same start
time, and is not a zombie). Either half alone errs: the lock is lost when foreign code closes the
lock file in that process; the pid says nothing across namespaces and "alive" for a zombie.
Whatever cannot be found out counts as alive.
"""

from __future__ import annotations

import os
import zlib
from functools import cache
from typing import NamedTuple

from .layout import P_BOOT, P_PID, P_PIDNS, P_START, PART_WORDS, PARTS_AT
from .lockfile import PARTICIPANT, LockFile
from .words import Words

__all__ = ["Identity", "is_dead", "is_gone", "names_gone", "own_identity", "resident_bytes"]

_GONE_STATES = frozenset("ZXx")


class Identity(NamedTuple):
    """What tells this process from every other, ever.

    Attributes:
        pid: process id.
        pidns: inode of its pid namespace; 0 where there is no such thing.
        start: when it started, in the kernel's ticks since boot.
        boot: checksum of the boot's id.
    """

    pid: int
    pidns: int
    start: int
    boot: int


def own_identity() -> Identity:
    """The identity of this process."""
    pid = os.getpid()
    return Identity(pid, _pid_namespace(), _start_and_state(pid)[0], _boot())


def is_dead(words: Words, lock: LockFile, index: int) -> bool:
    """Whether participant ``index`` is provably dead."""
    return not lock.is_held(PARTICIPANT + index) and is_gone(words, index)


def is_gone(words: Words, index: int) -> bool:
    """Whether the process that row ``index`` names is gone, whatever its byte lock says."""
    return names_gone(words, PARTS_AT + index * PART_WORDS)


def names_gone(words: Words, row: int) -> bool:
    """Whether the identity in the row (or seat) that starts at word ``row`` is of no process any more."""
    if words[row + P_BOOT] != _boot():
        return True
    if words[row + P_PIDNS] != _pid_namespace():
        return True  # its pid means nothing here; that its byte is free is the proof
    try:
        start, state = _start_and_state(words[row + P_PID])
    except (ProcessLookupError, FileNotFoundError):
        return True
    except OSError:
        return False
    return start != words[row + P_START] or state in _GONE_STATES


def resident_bytes() -> int:
    """Resident memory of this process, in bytes; 0 where it cannot be read."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


@cache
def _boot() -> int:
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return zlib.crc32(file.read())
    except OSError:
        return 0


def _start_and_state(pid: int) -> tuple[int, str]:
    """Start time and state letter of a process; ProcessLookupError when there is none."""
    if os.path.exists("/proc/self/stat"):
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command name may hold spaces and parentheses: fields count from the last ')'.
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[19]), fields[0].decode()
    import psutil

    try:
        process = psutil.Process(pid)
        return int(process.create_time() * 1000), "Z" if process.status() == psutil.STATUS_ZOMBIE else "R"
    except psutil.NoSuchProcess:
        raise ProcessLookupError(pid) from None
    except psutil.Error as error:
        raise OSError(str(error)) from error
