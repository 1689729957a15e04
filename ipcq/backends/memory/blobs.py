"""Files for large payloads and results: written once, mapped read-only, reused when nobody looks.

``<slot>.<generation>`` is a payload, ``<slot>.<generation>.<epoch>`` a result; a payload that an update
brought has a version there, which no epoch can be. A file is made after
its name was reserved in the slot, and a name is never given twice: a file that belongs to no task
never will again, whoever died when.

Fresh pages of tmpfs cost several times what warm ones do. So a retired file is renamed to
``pool.<n>``, and a writer renames it to its own name and overwrites it. Two rules make that safe:

- Who maps a file holds a shared ``flock`` on it for as long as the mapping lives, and looks, with
  the lock held, whether the name still leads to the file.
- Who writes a file holds an exclusive one, and looks in the same way; who cannot have it at once
  puts the file back. It is given up before the task is committed, so no reader ever waits.

A reader who comes before a writer's lock keeps the writer out; one who comes after it finds the
name gone, since retiring renames first. The same keeps a file in the pool from being overwritten
while a worker that lost its task still writes there. ``flock`` lives on in forked children: that
errs on the safe side, and the writer's is given up by name, not by closing.

Mappings of files that may come back are kept (see `mappings`), by any process. A file that is removed
is emptied, too, if nobody looks at it: else they would keep its memory.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from ...codecs.buffers import Pieces
from ...errors import CorruptQueue, QueueClosed, QueueFull, StorageError
from .mappings import Mappings, few_left
from .segment import BLOBS, Descriptor, allocate, space

__all__ = ["Blobs"]

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_WRITE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW

_TRIES = 8  # each is lost only to somebody who removes what we make, meanwhile
_MOMENT = 0.001  # seconds
_POOL = "pool."


class Blobs:
    """The large payloads and results of one queue. Threads may share it.

    All names are looked up in the directory that was opened, not by path: a process whose queue was
    destroyed does nothing to a new one of the same name.
    """

    def __init__(self, directory: str, pool_bytes: int, pool_files: int = 4) -> None:
        """
        Args:
            directory: the queue's.
            pool_bytes: most that retired files may occupy; 0 for no reuse. No more is mapped for reuse.
            pool_files: how many of them there may be; the last two have three parts of the bytes each, the
                others one: a large file is read while the next is written.

        Raises:
            QueueClosed: the queue was destroyed.
        """
        self.path = os.path.join(directory, BLOBS)
        parts = [3 if n >= pool_files - 2 else 1 for n in range(pool_files)]
        most = [pool_bytes * part // sum(parts) for part in parts]
        self._pool = {f"{_POOL}{n}": each for n, each in enumerate(most) if each}
        self._largest = max(self._pool.values(), default=0)
        self._mappings = Mappings(2 * len(self._pool), pool_bytes)
        self._turn = count()
        try:
            self._directory: Descriptor | None = Descriptor(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError as error:
            raise self._destroyed() from error
        except OSError as error:
            raise StorageError(f"cannot open {self.path}: {error.strerror}") from error

    def __repr__(self) -> str:
        return f"<Blobs {self.path!r}{'' if self._directory else ', closed'}>"

    def close(self) -> None:
        """Close the directory; what is mapped stays for whoever has it."""
        self._directory = None
        self._mappings.clear()

    # --- writing --------------------------------------------------------------------------------

    def write(self, slot: int, gen: int, epoch: int, *parts: bytes | memoryview | Pieces) -> None:
        """Write the file of a payload (``epoch`` 0) or result whose name is reserved in its slot.

        Raises:
            QueueFull: the file system is full.
            QueueClosed: the queue was destroyed.
        """
        here = self._open_directory()
        name = _name(slot, gen, epoch)
        whole = [piece for part in parts for piece in (part.parts if isinstance(part, Pieces) else (part,))]
        views = [view.cast("B") for view in [memoryview(piece) for piece in whole] if view.nbytes]
        length = sum(map(len, views))
        try:
            self._write(here, name, views, length)
        except QueueFull:
            if not self.empty_pool():
                raise
            self._write(here, name, views, length)

    def _write(self, here: Descriptor, name: str, views: list[memoryview], length: int) -> None:
        with space(self.path):
            fd = self._own(here, name, length)
            try:
                self._fill(here, name, fd, views, length)
            except BaseException:
                _unlink(here, name)
                _empty(fd)
                raise
            finally:
                try:
                    fcntl.flock(fd, fcntl.LOCK_UN)  # a forked child may have the descriptor too
                finally:
                    os.close(fd)

    def _own(self, here: Descriptor, name: str, length: int) -> int:
        """An open file of our name that nobody else looks at, with its exclusive lock."""
        for retired in self._fitting(here, length):
            fd = _take(here, retired, name)
            if fd >= 0:
                return fd
        for _ in range(_TRIES):
            try:
                fd = os.open(name, _CREATE, 0o600, dir_fd=here.number)
            except FileExistsError:
                _remove(here, name)  # of a producer that was killed
                continue
            except FileNotFoundError as error:
                raise self._destroyed() from error
            if _is_locked(here, name, fd, fcntl.LOCK_EX):
                return fd
        raise StorageError(f"cannot write {name} in {self.path}: somebody keeps removing it")

    def _fitting(self, here: Descriptor, length: int) -> Iterator[str]:
        """Retired files of a similar size: with others, few pages would be warm or many lost.

        Those that are mapped come first.
        """
        others = []
        for retired in self._pool:
            try:
                status = os.stat(retired, dir_fd=here.number, follow_symlinks=False)
            except FileNotFoundError:
                continue
            if not status.st_size <= 2 * length <= 4 * status.st_size:
                continue
            if status in self._mappings:
                yield retired
            else:
                others.append(retired)
        yield from others

    def _fill(self, here: Descriptor, name: str, fd: int, views: list[memoryview], length: int) -> None:
        """Give the file exactly these bytes; memory first, while nothing of it is written."""
        had = os.fstat(fd).st_size
        if had > length:
            os.ftruncate(fd, length)
        status = os.fstat(fd)
        if length and (status.st_size < length or status.st_blocks * 512 < length):
            allocate(fd, 0, length)
            status = os.fstat(fd)
        mapping = self._mappings.get(status)
        if mapping is None and had and 0 < length <= self._largest:
            mapping = self._mappings.add(name, here, status, populate=True)
        if mapping is not None:
            mapping.fill(views)
            return
        for view in views:
            while view:
                view = view[os.write(fd, view) :]

    def rename(self, slot: int, gen: int, epoch: int, of: tuple[int, int, int]) -> bool:
        """Make the payload ``of`` one task (slot, generation, epoch) another's; False where there is none."""
        here = self._open_directory()
        with _readable(self.path):
            try:
                name = _name(slot, gen, epoch)
                os.rename(_name(*of), name, src_dir_fd=here.number, dst_dir_fd=here.number)
            except FileNotFoundError:
                return False
        return True

    # --- reading --------------------------------------------------------------------------------

    def map(self, slot: int, gen: int, epoch: int, length: int) -> memoryview | None:
        """The content of a file, read-only; None when it is gone.

        It stays as it is for as long as the view, or anything made of it, lives. When this process
        has few descriptors left it is a copy, which needs none.

        Raises:
            CorruptQueue: the file has another length.
        """
        here = self._open_directory()
        name = _name(slot, gen, epoch)
        with _readable(self.path):
            try:
                fd = os.open(name, _READ, dir_fd=here.number)
            except FileNotFoundError:
                return None
            try:
                if not _is_shared(here, name, fd):
                    return None
                status = os.fstat(fd)
                self._check_length(name, status.st_size, length)
                return self._view(here, name, fd, status)
            finally:
                os.close(fd)  # the view has its own descriptor, and with it the lock

    def _view(self, here: Descriptor, name: str, fd: int, status: os.stat_result) -> memoryview:
        length = status.st_size
        if not length:
            return memoryview(b"")
        if few_left(fd):
            return _copy(fd, length)
        mapping = self._mappings.get(status)
        if mapping is None and length <= self._largest:
            mapping = self._mappings.add(name, here, status)
        if mapping is not None:
            return mapping.view(fd, length)
        return memoryview(mmap.mmap(fd, length, access=mmap.ACCESS_READ))

    def _check_length(self, name: str, has: int, length: int) -> None:
        if has != length:
            raise CorruptQueue(
                f"{name} in {self.path} has {has} bytes, not {length}: its task is damaged; remove the task"
            )

    # --- removing -------------------------------------------------------------------------------

    def retire(self, slot: int, gen: int, epoch: int) -> None:
        """Give up the file of a task that does not need it any more; none is fine too."""
        here = self._directory
        if here is None:
            return  # the next sweep finds it
        name = _name(slot, gen, epoch)
        with _readable(self.path):
            try:
                size = os.stat(name, dir_fd=here.number, follow_symlinks=False).st_size
                if 0 < size <= self._largest:
                    place = self._place(here, size)
                    os.rename(name, place, src_dir_fd=here.number, dst_dir_fd=here.number)
                    return
            except FileNotFoundError:
                return
            _remove(here, name)

    def _place(self, here: Descriptor, size: int) -> str:
        """A place in the pool for a file of this size: a free one, else that of each other one in turn.

        Two may choose the same: then one file is lost to the pool, which is all.
        """
        fitting = [name for name, most in self._pool.items() if size <= most]
        for name in fitting:
            if not _exists(here, name):
                return name
        name = fitting[next(self._turn) % len(fitting)]
        _remove(here, name)
        return name

    def empty_pool(self) -> int:
        """Remove all retired files, for when space is short; how many there were."""
        here = self._open_directory()
        self._mappings.clear()
        return sum(_remove(here, name) for name in self._pool)

    def files(self) -> set[tuple[int, int, int]]:
        """Slot, generation and epoch of every file that is not retired."""
        return {parts for parts in map(_parts, _names(self._open_directory())) if parts}

    def sweep(self, is_live: Callable[[int, int, int], bool]) -> int:
        """Remove the files that killed processes left, and what is too much in the pool.

        Args:
            is_live: whether a task has the file of this slot, generation and epoch.

        Returns:
            How many files were removed.
        """
        here = self._open_directory()
        removed = 0
        for name in _names(here):
            parts = _parts(name)
            if not (is_live(*parts) if parts else self._may_stay(here, name)):
                removed += _remove(here, name)
        return removed

    def _may_stay(self, here: Descriptor, name: str) -> bool:
        if not name.startswith(_POOL):
            return True  # not ours
        try:
            size = os.stat(name, dir_fd=here.number, follow_symlinks=False).st_size
        except FileNotFoundError:
            return True
        return size <= self._pool.get(name, -1)

    def _open_directory(self) -> Descriptor:
        here = self._directory
        if here is None:
            raise QueueClosed(f"this handle on {self.path} was closed; open the queue again")
        return here

    def _destroyed(self) -> QueueClosed:
        return QueueClosed(f"{self.path} is gone: the queue was destroyed; open it again to make a new one")


# --- names ----------------------------------------------------------------------------------------


def _name(slot: int, gen: int, epoch: int) -> str:
    return f"{slot}.{gen}.{epoch}" if epoch else f"{slot}.{gen}"


def _parts(name: str) -> tuple[int, int, int] | None:
    """Slot, generation and epoch that a name stands for."""
    try:
        numbers = [int(part) for part in name.split(".")]
        slot, gen, epoch = (*numbers, 0) if len(numbers) == 2 else numbers
    except ValueError:
        return None
    return (slot, gen, epoch) if _name(slot, gen, epoch) == name else None


def _names(here: Descriptor) -> list[str]:
    # Opened anew: a descriptor has one place in the listing, for all threads and forked children.
    try:
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=here.number)
    except FileNotFoundError:
        return []
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _exists(here: Descriptor, name: str) -> bool:
    try:
        os.stat(name, dir_fd=here.number, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unlink(here: Descriptor, name: str) -> bool:
    try:
        os.unlink(name, dir_fd=here.number)
    except FileNotFoundError:
        return False
    return True


def _remove(here: Descriptor, name: str) -> bool:
    """Remove a file, and its memory if nobody looks at it; somebody may keep a mapping of it."""
    try:
        fd = os.open(name, _WRITE, dir_fd=here.number)
    except OSError:  # none there, a link, or no descriptor is left
        return _unlink(here, name)
    try:
        removed = _unlink(here, name)
        _empty(fd)
    finally:
        os.close(fd)
    return removed


def _empty(fd: int) -> None:
    """Give back the memory of a file that has no name any more, nor will have, if nobody looks at it."""
    if os.fstat(fd).st_nlink:
        return  # it has another name: to lock it for a moment would keep its readers out
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    os.ftruncate(fd, 0)


# --- open files -----------------------------------------------------------------------------------


def _take(here: Descriptor, retired: str, name: str) -> int:
    """Make a retired file ours, and open it; -1 when it is gone or somebody still looks at it."""
    try:
        os.rename(retired, name, src_dir_fd=here.number, dst_dir_fd=here.number)
        fd = os.open(name, _WRITE, dir_fd=here.number)
    except FileNotFoundError:
        return -1
    if _is_locked(here, name, fd, fcntl.LOCK_EX):
        return fd
    try:
        os.rename(name, retired, src_dir_fd=here.number, dst_dir_fd=here.number)
    except FileNotFoundError:
        pass
    return -1


def _is_locked(here: Descriptor, name: str, fd: int, kind: int, *, close: bool = True) -> bool:
    """Lock ``fd``, which ``name`` led to when it was opened; whether we have it and it still does.

    If not, ``fd`` is of no use, and closed if ``close``.
    """
    locked = False
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        locked = _leads_to(here, name, fd)
    except BlockingIOError:
        pass
    finally:
        if close and not locked:
            os.close(fd)
    return locked


def _is_shared(here: Descriptor, name: str, fd: int) -> bool:
    """As `_is_locked` for a reader, whom nobody keeps out for longer than a moment.

    Who lost its task may have had the file in an earlier life, lock it now, and find it another's.
    """
    for _ in range(_TRIES):
        if _is_locked(here, name, fd, fcntl.LOCK_SH, close=False):
            return True
        if not _leads_to(here, name, fd):
            return False
        time.sleep(_MOMENT)
    return False


def _leads_to(here: Descriptor, name: str, fd: int) -> bool:
    try:
        there = os.stat(name, dir_fd=here.number, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(fd))


def _copy(fd: int, length: int) -> memoryview:
    with mmap.mmap(fd, length, access=mmap.ACCESS_READ) as memory:
        return memoryview(bytes(memory))


@contextmanager
def _readable(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = "; raise the limit: ulimit -n" if error.errno in (errno.EMFILE, errno.ENFILE) else ""
        raise StorageError(f"cannot use a file in {path}: {error.strerror}{advice}") from error
