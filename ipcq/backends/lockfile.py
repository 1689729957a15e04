"""The byte locks of one queue's ``lock`` file: what the kernel releases when a process dies.

A POSIX byte lock belongs to a process and is lost when the process closes *any* descriptor of the
file. So a process opens each lock file once, and all its handles on that queue share the one
`LockFile`: the table below is per process because the kernel's locks are.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import threading

from ..errors import StorageError

__all__ = ["ATTACH", "DESTROY", "PARTICIPANT", "QUEUE", "SEAT", "LockFile", "open_lock_file"]

ATTACH = 0  # shared by all who are attached, exclusive to create and destroy
QUEUE = 1  # the critical section, in the uncompiled mode
DESTROY = 2  # held while the files of the queue are removed
PARTICIPANT = 64  # + index: held by the process that is this participant
SEAT = 1024  # + number: held by the process that can own the lock word under this number

_FLOCK = "@qqihh" if sys.platform == "darwin" else "@hhqqi"

_table: dict[tuple[int, int], LockFile] = {}
_table_mutex = threading.RLock()


class LockFile:
    """One open lock file. Use `open_lock_file`, and `release` for each use."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.fd = fd
        self.mutex = threading.RLock()
        """For threads, which the kernel's locks do not tell apart."""
        self.inside = False
        """Whether the thread that has the mutex is in a critical section."""
        self.seat = 0
        """The number of this process's seat, + 1, once it has one; see `wordguard`."""
        self.held: set[int] = set()
        self._uses = 0
        self._shares = 0
        self._alone = False
        self._spare: list[int] = []

    def is_current(self) -> bool:
        """Whether the path still names this file."""
        try:
            there = os.stat(self.path, follow_symlinks=False)
        except OSError:
            return False
        if self.fd < 0:
            return False
        here = os.fstat(self.fd)
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)

    @property
    def shares(self) -> int:
        """How many handles of this process are attached."""
        return self._shares

    # --- byte 0 ---------------------------------------------------------------------------------

    def share(self) -> bool:
        """Take the shared lock of an attached process; False while somebody creates or destroys."""
        with _table_mutex:
            if self._alone or not (self._shares or self._try(fcntl.LOCK_SH, ATTACH)):
                return False
            self._shares += 1
            return True

    def unshare(self) -> None:
        """Give up one `share`."""
        with _table_mutex:
            self._shares = max(0, self._shares - 1)
            if not (self._shares or self._alone):
                self._unlock(ATTACH)

    def try_exclusive(self, own: int = 1) -> bool:
        """Take the lock to create or destroy: only while nobody else is attached.

        Args:
            own: how often the caller itself holds a `share`, which `unexclusive` restores.
        """
        with _table_mutex:
            if self._alone or self._shares > own:
                return False  # by another thread: the kernel would let this process have both
            self._alone = self._try(fcntl.LOCK_EX, ATTACH)
            return self._alone

    def unexclusive(self) -> None:
        """Go back to the shared lock, or to none."""
        with _table_mutex:
            self._alone = False
            if not self._shares:
                self._unlock(ATTACH)
            elif self.fd >= 0:
                fcntl.lockf(self.fd, fcntl.LOCK_SH, 1, ATTACH)

    # --- participants ---------------------------------------------------------------------------

    def take(self, byte: int, owned: set[int] | None = None) -> bool:
        """Take ``byte`` for this process; False if anybody has it, this process included.

        Args:
            owned: where it is noted, too, so that whoever has that set can drop it, though an exception
                breaks in before this returns.
        """
        with _table_mutex:
            if byte in self.held:
                return False
            try:
                if not self._try(fcntl.LOCK_EX, byte):
                    return False
                if owned is not None:
                    owned.add(byte)
                self.held.add(byte)
                return True
            except BaseException:  # that of a signal handler comes between any two steps
                self._dropped(byte, owned)
                raise

    def drop(self, byte: int, owned: set[int] | None = None) -> None:
        """Give ``byte`` back; see `take`. Once more does no harm."""
        with _table_mutex:
            self._dropped(byte, owned)

    def _dropped(self, byte: int, owned: set[int] | None) -> None:
        self._unlock(byte)
        self.held.discard(byte)
        if owned is not None:
            owned.discard(byte)

    def is_held(self, byte: int) -> bool:
        """Whether a live process has ``byte``; also true when the kernel does not answer."""
        if byte in self.held:
            return True
        try:
            return self._ask(byte)[0]
        except (OSError, ValueError):  # ValueError: this handle was closed
            return True

    def holder(self, byte: int) -> int:
        """Process id of who has ``byte``; 0 for nobody, this process, another pid namespace, or unknown."""
        try:
            taken, pid = self._ask(byte)
        except (OSError, ValueError):
            return 0
        return pid if taken else 0

    def _ask(self, byte: int) -> tuple[bool, int]:
        request = struct.pack(_FLOCK, *_flock_fields(fcntl.F_WRLCK, byte))
        answer = struct.unpack(_FLOCK, fcntl.fcntl(self.fd, fcntl.F_GETLK, request))
        kind, pid = (answer[3], answer[2]) if sys.platform == "darwin" else (answer[0], answer[4])
        return kind != fcntl.F_UNLCK, int(pid)

    def remove_unheld(self) -> bool:
        """Remove the file, where no live process has a byte of it; whether it was removed.

        Who takes a byte of it meanwhile finds that it is not current any more.
        """
        with _table_mutex:
            if self.held or self._shares or not self._try(fcntl.LOCK_EX, 0, 0):
                return False
            try:
                if self.is_current():
                    os.unlink(self.path)
                return True
            finally:
                fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def reassert(self) -> set[int]:
        """Take again what foreign code lost by opening and closing the file in this process.

        Returns:
            The bytes that somebody else has by now; `ATTACH` among them while the queue is removed.
        """
        with _table_mutex:
            if self.fd < 0:
                return set()
            lost = {byte for byte in self.held if not self._try(fcntl.LOCK_EX, byte)}
            self.held -= lost
            if SEAT + self.seat - 1 in lost:
                self.seat = 0
            kind = fcntl.LOCK_EX if self._alone else fcntl.LOCK_SH
            attached = self._alone or self._shares
            return lost | {ATTACH} if attached and not self._try(kind, ATTACH) else lost

    def _try(self, kind: int, byte: int, count: int = 1) -> bool:
        """Lock so many bytes, 0 for all from there on; False where others have one."""
        if self.fd < 0:
            raise StorageError(f"cannot lock {self.path}: this handle on it was closed; open the queue again")
        try:
            fcntl.lockf(self.fd, kind | fcntl.LOCK_NB, count, byte)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise StorageError(f"cannot lock {self.path}: {error.strerror}") from error
        return True

    def _unlock(self, byte: int) -> None:
        if self.fd >= 0:  # else nothing is locked: closed, or inherited by a fork
            fcntl.lockf(self.fd, fcntl.LOCK_UN, 1, byte)

    def release(self) -> None:
        """End one use; the last one closes the file and so drops every lock.

        With the mutex: another thread may be in a critical section, and closing would end that.
        """
        with self.mutex, _table_mutex:
            self._uses -= 1
            if self._uses == 0:
                _forget(self)
                self._close()

    def _close(self) -> None:
        descriptors, self._spare = [self.fd, *self._spare], []
        self.fd = -1  # the number may soon be another file's
        for fd in descriptors:
            os.close(fd)

    def _disown(self) -> None:
        """In a forked child: nothing here is held, and no other thread is left to free the mutex."""
        self.mutex = threading.RLock()
        self.inside = self._alone = False
        self.held.clear()
        self._uses = self._shares = self.seat = 0
        self._close()


def _flock_fields(kind: int, byte: int) -> tuple[int, ...]:
    if sys.platform == "darwin":
        return (byte, 1, 0, kind, os.SEEK_SET)
    return (kind, os.SEEK_SET, byte, 1, 0)


def open_lock_file(path: str, *, create: bool = True) -> LockFile:
    """Open the lock file at ``path``, or find the one that this process has open already.

    Raises:
        FileNotFoundError: it does not exist and is not to be created.
    """
    with _table_mutex:
        lock = _find(path)
        if lock is None:
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
            fd = os.open(path, flags, 0o600)
            status = os.fstat(fd)
            key = (status.st_dev, status.st_ino)
            lock = _table.get(key)
            if lock is None:
                lock = _table[key] = LockFile(path, fd)
            else:
                lock._spare.append(fd)  # closing it now would drop the locks
        lock._uses += 1
        return lock


def _find(path: str) -> LockFile | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return _table.get((status.st_dev, status.st_ino))


def _forget(lock: LockFile) -> None:
    for key, value in list(_table.items()):
        if value is lock:
            del _table[key]


def _after_fork_in_child() -> None:
    """The child has none of the locks: it starts with an empty table and opens files anew."""
    global _table_mutex
    _table_mutex = threading.RLock()
    for lock in _table.values():
        lock._disown()
    _table.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
