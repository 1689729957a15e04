"""Turns and permits that all processes of one host share: one small file for each name.

Its first 16 bytes are the moment that the next turn is planned for, the others who waits for a permit, as a
`Claim`. All else are byte locks, as those of a queue: the kernel frees them with the process that has them,
and a forked child has none of them. Nobody waits for a lock, for a holder may be stopped. Locks of open file
descriptions would be a forked child's, too, and macOS has none.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from types import TracebackType

from ..backend import Turn
from ..errors import StorageError
from ..pacing import NO_CLAIM, Claim, Gcra, check_limit, check_name, check_waited
from .lockfile import LockFile, open_lock_file

__all__ = ["LIMIT", "HeldPermit", "Turnstile"]

LIMIT = "limit."
"""How the names of the files begin, where others are beside them."""

_TURN = 0  # held while the planned moment is changed
_PERMIT = 64  # + number: held by the process that has this permit
_BYTES = 16
_CLAIM = Struct("<qq")
_BUSY = Turn(False, 0.0005)


class HeldPermit:
    """One of so many permits. Fulfils `Permit`."""

    def __init__(self, file: LockFile) -> None:
        self._file: LockFile | None = file
        self._bytes: set[int] = set()
        self._pid = os.getpid()

    def __repr__(self) -> str:
        if self._file is None:
            return "<HeldPermit given back>"
        return f"<HeldPermit {', '.join(str(byte - _PERMIT) for byte in self._bytes)} of {self._file.path}>"

    def take(self, bytes_: range) -> bool:
        """Have one of these bytes, if there is one."""
        if self._file is not None:
            for each in bytes_:
                if self._file.take(each, self._bytes):
                    return True
        return False

    def release(self) -> None:
        """Give it back; nothing in a forked child, which does not have it."""
        file = self._file
        if file is None or self._pid != os.getpid():
            return
        for byte in list(self._bytes):
            file.drop(byte, self._bytes)
        self._file = None
        file.release()

    def __enter__(self) -> HeldPermit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Turnstile:
    """The limits of one queue. Fulfils `ShareLimits`.

    Args:
        place: how the paths of the files begin.
        clock: seconds that only grow, the same in all processes.
    """

    def __init__(self, place: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._place = place
        self._clock = clock

    def __repr__(self) -> str:
        return f"<Turnstile at {self._place!r}>"

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """See `ShareLimits`."""
        gcra = Gcra(per_second, burst)
        file = self._open(name)
        if file is None:
            return _BUSY
        turning = HeldPermit(file)
        try:
            try:
                return self._turn(file, gcra) if turning.take(range(_TURN, _TURN + 1)) else _BUSY
            finally:
                turning.release()
        finally:  # once more, where an exception of a signal handler broke into that
            turning.release()

    def _turn(self, file: LockFile, gcra: Gcra) -> Turn:
        try:
            if not file.is_current():
                return _BUSY
            plan = gcra.turn(_planned(file), round(self._clock() * 1e9))
            if plan.taken:  # written by one call: a reader finds the old number or the new one
                os.pwrite(file.fd, plan.planned.to_bytes(_BYTES, "little", signed=True), 0)
            return Turn(plan.taken, plan.wait / 1e9)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return _BUSY
            raise _failed(file.path, error) from error

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> HeldPermit | None:
        """See `ShareLimits`."""
        most, waiting = check_limit(limit), check_waited(waited)
        while True:
            file = self._open(name)
            if file is None:
                return None
            permit = HeldPermit(file)
            try:
                now = round(self._clock() * 1e9)
                taken = _take(file, permit, most, Claim(now - waiting, now))
                if taken and file.is_current():
                    return permit
            except BaseException:
                permit.release()
                raise
            permit.release()
            if not taken:
                return None  # else the file was removed in this moment

    def forget(self, name: str) -> bool:
        """Remove the file of that name, if that makes no difference to anybody; whether it was removed."""
        try:
            file = open_lock_file(self._place + name, create=False)
        except OSError:
            return False
        try:
            is_past = _planned(file) <= self._clock() * 1e9
            return is_past and file.remove_unheld()
        finally:
            file.release()

    def _open(self, name: str) -> LockFile | None:
        """The file of that name; None where there is no room for one now."""
        path = self._place + check_name(name)
        try:
            return open_lock_file(path)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                return None
            raise _failed(path, error) from error


def _take(file: LockFile, permit: HeldPermit, most: int, mine: Claim) -> bool:
    """Whether there was one for it; and who is the first in line afterwards."""
    first = Claim(*_CLAIM.unpack(os.pread(file.fd, _BYTES, _BYTES).ljust(_BYTES, b"\0")))
    if first.is_ahead_of(mine.since, mine.seen):
        return False
    taken = permit.take(range(_PERMIT, _PERMIT + most))
    if taken and first != NO_CLAIM and first.is_of(mine.since):
        _claim(file, NO_CLAIM)
    elif not taken and mine.may_be_made():
        _claim(file, mine)
    return taken


def _claim(file: LockFile, claim: Claim) -> None:
    with suppress(OSError):  # no room: then there is no line
        os.pwrite(file.fd, _CLAIM.pack(*claim), _BYTES)


def _planned(file: LockFile) -> int:
    return int.from_bytes(os.pread(file.fd, _BYTES, 0), "little", signed=True)


def _failed(path: str, error: OSError) -> StorageError:
    return StorageError(f"cannot use {path}: {error.strerror}")
