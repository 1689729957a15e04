"""Objects that are stored once for many tasks: a file in shared memory, mapped by whoever reads it.

Whoever uses a file, its owner or a reader, holds a shared ``flock`` on it, which the kernel drops with the
last mapping or process. The owner removes the name when nobody has the `Shared` any more; the memory goes
with the last mapping. A name that a killed owner left is removed by the next `share`, or ``ipcq gc``, once
nobody has the lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

from ..backends.memory.segment import allocate, space
from ..codecs.buffers import Pieces
from ..directory import base_directory, check_private, private_directory
from ..errors import StorageError
from .encoding import decode, encode_value

__all__ = ["Shared", "forget_removed", "share", "sweep"]

_DIRECTORY = ".shared"  # no queue has such a name
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_KEPT = 4  # objects that a process keeps for the next task that brings them

T = TypeVar("T")


def share(value: T) -> Shared[T]:
    """Store an object once; where the handle is sent as an argument, the object arrives.

    Arrays and other buffers arrive as read-only views, without a copy. In one process all tasks get the same
    object: do not change it.

    Args:
        value: whatever can be pickled.

    Returns:
        A handle. Calls of an `Executor` keep it for as long as they need it; for tasks that you push
        yourself, keep it until they have ended.

    Raises:
        NotPicklable: it cannot be pickled.
        QueueFull: there is no room in shared memory.
        UnsafeDirectory, StorageError.
    """
    directory = _directory()
    sweep(directory)
    data = encode_value(value)
    with space(directory):
        path = _write(directory, data.parts if isinstance(data, Pieces) else (data,), len(data))
    return Shared(value, path, len(data))


class Shared(Generic[T]):
    """An object that is stored in shared memory for as long as anybody has this handle.

    Attributes:
        value: the object.
        size: bytes that it takes there.
    """

    def __init__(self, value: T, path: tuple[str, int], size: int) -> None:
        """
        Args:
            path: of its file, and a descriptor that has the lock.
        """
        self.value = value
        self.size = size
        self._path, descriptor = path
        self._end = weakref.finalize(self, _let_go, self._path, descriptor, os.getpid())

    def __repr__(self) -> str:
        state = f"{self.size} bytes" if self._end.alive else "closed"
        return f"<Shared {type(self.value).__qualname__} [{state}]>"

    def __reduce__(self) -> tuple[Callable[[str], Any], tuple[str]]:
        if not self._end.alive:
            raise StorageError("a shared object cannot be sent after it was closed")
        return load, (self._path,)

    def close(self) -> None:
        """Give its memory back as soon as nobody reads it; twice is once."""
        self._end()

    def __enter__(self) -> Shared[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _let_go(path: str, descriptor: int, owner: int) -> None:
    if os.getpid() == owner:  # a forked child has a copy of the handle, and no say
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
    os.close(descriptor)


# --- writing --------------------------------------------------------------------------------------


def _directory() -> str:
    return private_directory(base_directory(), _DIRECTORY)


def _write(directory: str, parts: Any, size: int) -> tuple[str, int]:
    """A new file with these bytes, and a descriptor with the lock of its owner."""
    while True:
        path = os.path.join(directory, secrets.token_hex(8))
        fd = os.open(path, _CREATE, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            if os.fstat(fd).st_nlink:  # else a sweep came before the lock
                if size:
                    allocate(fd, 0, size)
                for part in parts:
                    view = memoryview(part)
                    while view:
                        view = view[os.write(fd, view) :]
                return path, fd
        except BaseException:
            os.unlink(path)
            os.close(fd)
            raise
        os.close(fd)


def sweep(directory: str | None = None) -> int:
    """Remove what killed owners left and nobody reads; how many files that were."""
    directory = directory or os.path.join(base_directory(), _DIRECTORY)
    removed = 0
    try:
        check_private(directory)
        names = os.listdir(directory)
    except FileNotFoundError:
        return 0
    for name in names:
        path = os.path.join(directory, name)
        try:
            fd = os.open(path, _READ)
        except OSError:  # gone meanwhile, or not ours
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
            removed += 1
        except (BlockingIOError, FileNotFoundError):
            pass
        finally:
            os.close(fd)
    return removed


# --- reading --------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """An object as it was read, and its file's mapping, which has the lock."""

    value: Any
    mapping: mmap.mmap
    descriptor: int


class _Kept:
    """The objects that this process read last."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._read: OrderedDict[str, _Read] = OrderedDict()

    def get(self, path: str) -> Any:
        """The object in a file."""
        with self._mutex:
            found = self._read.pop(path, None) or _read(path)
            self._read[path] = found
            while len(self._read) > _KEPT:
                os.close(self._read.popitem(last=False)[1].descriptor)
            return found.value

    def forget_removed(self) -> None:
        """Let go of those whose owner did."""
        with self._mutex:
            for path, each in list(self._read.items()):
                if not os.fstat(each.descriptor).st_nlink:
                    os.close(self._read.pop(path).descriptor)

    def __bool__(self) -> bool:
        return bool(self._read)


def load(path: str) -> Any:
    """What a `Shared` is unpickled as: its object.

    Raises:
        StorageError: its owner let go of it.
    """
    return _kept.get(path)


def forget_removed() -> None:
    """Let go of objects whose owner did, before another task is run."""
    if _kept:
        _kept.forget_removed()


def _read(path: str) -> _Read:
    name = os.path.basename(path)
    gone = f"the shared object {name} is gone: keep what share() returned until all have read it"
    try:
        fd = os.open(path, _READ)
    except FileNotFoundError as error:
        raise StorageError(gone) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        status = os.fstat(fd)
        if not status.st_nlink:
            raise StorageError(gone)
        mapping = mmap.mmap(fd, status.st_size, access=mmap.ACCESS_READ)
        return _Read(decode(memoryview(mapping)), mapping, fd)
    except BaseException:
        os.close(fd)
        raise


def _after_fork() -> None:
    """The child may have been forked while another thread had the mutex."""
    _kept._mutex = threading.Lock()


_kept = _Kept()
os.register_at_fork(after_in_child=_after_fork)
