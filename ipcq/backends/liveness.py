"""Whether a process lives: a kernel fact, never a guess from time. What every backend shares of it.

Whatever cannot be found out counts as alive.
"""

from __future__ import annotations

import os
import signal
import zlib
from functools import cache
from typing import NamedTuple

__all__ = ["Identity", "identity_is_gone", "kill_process", "own_identity", "resident_bytes"]

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

    @property
    def can_be_seen(self) -> bool:
        """Whether its pid means something here: same boot, same pid namespace."""
        return self.boot == _boot() and self.pidns == _pid_namespace()


def own_identity() -> Identity:
    """The identity of this process."""
    pid = os.getpid()
    return Identity(pid, _pid_namespace(), _start_and_state(pid)[0], _boot())


def identity_is_gone(identity: Identity) -> bool:
    """Whether no process has this identity any more, as far as its pid can be seen from here."""
    if not identity.can_be_seen:
        return True
    try:
        start, state = _start_and_state(identity.pid)
    except (ProcessLookupError, FileNotFoundError):
        return True
    except OSError:
        return False
    return start != identity.start or state in _GONE_STATES


def kill_process(identity: Identity) -> bool:
    """SIGKILL the process of this identity and no other; False where it is gone, or cannot be seen."""
    try:
        handle = os.pidfd_open(identity.pid) if hasattr(os, "pidfd_open") else None
    except OSError:  # gone; or a kernel without: then the pid is used, looked at right before
        handle = None
    try:
        if identity_is_gone(identity):
            return False
        if handle is None:
            os.kill(identity.pid, signal.SIGKILL)
        else:  # opened before it was looked at: should that process end now, no other gets the signal
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


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
