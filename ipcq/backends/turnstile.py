"""Turns and permits that all processes of one host share: one small file for each name.

Its first 16 bytes are the moment that the next turn is planned for, the others who waits for a permit, as a
`Claim`. All else are byte locks, as those of a
queue: the kernel frees them with the process that has them, and a forked child has none of them. Nobody waits
for a lock, for a holder may be stopped. Locks of open
file descriptions would be a forked child's, too, and macOS has none.
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

    def __init__(self, file: LockFile, byte: int) -> None:
        self._file: LockFile | None = file
        self._byte = byte
        self._pid = os.getpid()

    def __repr__(self) -> str:
        state = "given back" if self._file is None else f"of {self._file.path}"
        return f"<HeldPermit {self._byte - _PERMIT} {state}>"

    def release(self) -> None:
        """Give it back; nothing in a forked child, which does not have it."""
        file, self._file = self._file, None
        if file is not None and self._pid == os.getpid():
            file.drop(self._byte)
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
        try:
            return self._turn(file, gcra) if file.take(_TURN) else _BUSY
        finally:
            file.release()

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
        finally:
            file.drop(_TURN)

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> HeldPermit | None:
        """See `ShareLimits`."""
        most, waiting = check_limit(limit), check_waited(waited)
        while True:
            file = self._open(name)
            if file is None:
                return None
            byte = 0
            try:
                now = round(self._clock() * 1e9)
                byte = _take(file, most, Claim(now - waiting, now))
                if byte and file.is_current():
                    return HeldPermit(file, byte)
            except BaseException:
                _let_go(file, byte)
                raise
            _let_go(file, byte)
            if not byte:
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


def _take(file: LockFile, most: int, mine: Claim) -> int:
    """The byte of a permit, 0 for none, and who is the first in line afterwards."""
    first = Claim(*_CLAIM.unpack(os.pread(file.fd, _BYTES, _BYTES).ljust(_BYTES, b"\0")))
    if first.is_ahead_of(mine.since, mine.seen):
        return 0
    byte = next((each for each in range(_PERMIT, _PERMIT + most) if file.take(each)), 0)
    if byte and first != NO_CLAIM and first.is_of(mine.since):
        _claim(file, NO_CLAIM)
    elif not byte and mine.may_be_made():
        _claim(file, mine)
    return byte


def _claim(file: LockFile, claim: Claim) -> None:
    with suppress(OSError):  # no room: then there is no line
        os.pwrite(file.fd, _CLAIM.pack(*claim), _BYTES)


def _planned(file: LockFile) -> int:
    return int.from_bytes(os.pread(file.fd, _BYTES, 0), "little", signed=True)


def _let_go(file: LockFile, byte: int) -> None:
    if byte:
        file.drop(byte)
    file.release()


def _failed(path: str, error: OSError) -> StorageError:
    return StorageError(f"cannot use {path}: {error.strerror}")
