"""The files of one queue: made whole or not at all, checked, mapped, and grown.

A new control file is built under another name and linked into place, so nobody ever sees half of
one. Memory is committed with ``posix_fallocate`` before it is used: where there is none left that
is an error here, while a store to a page that cannot be had would be a SIGBUS.
"""

from __future__ import annotations

import errno
import mmap
import os
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...errors import CorruptQueue, QueueFull, StorageError, VersionMismatch
from .futex import address_of
from .layout import (
    ARENA_CHUNK,
    BLOCK_BYTES,
    COUNTS,
    ENDIAN,
    H_CHECKSUM,
    H_CREATED,
    H_ENDIAN,
    H_LAYOUT,
    H_LOCK_KIND,
    H_MAGIC,
    H_PARTICIPANTS,
    H_VERSION,
    LOCK_FCNTL,
    MAGIC,
    MAX_PARTICIPANTS,
    META_WORDS,
    PAGE_WORDS,
    SEQ,
    SLOT_CHUNK,
    ST_FREE,
    VERSION,
    Geometry,
    layout_hash,
)
from .settings import Settings

__all__ = ["ARENA", "BLOBS", "CONTROL", "LOCK", "Segment", "build", "remove_files"]

CONTROL = f"ctl.v{VERSION}"
ARENA = f"arena.v{VERSION}"
BLOBS = "blob"
LOCK = "lock"

_NEW = "ctl.new"
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = _OPEN | os.O_CREAT | os.O_EXCL
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Segment:
    """The mapped files of one queue. Nothing is unmapped while anybody still refers to it.

    Attributes:
        words: the control file as 64-bit words.
        control: the same as bytes.
        arena: the arena as bytes.
        address: where the control file is mapped, for futex.
    """

    def __init__(self, directory: str) -> None:
        """
        Raises:
            FileNotFoundError: there is no queue.
            CorruptQueue: the files are damaged.
            VersionMismatch: another version of ipcq made them.
        """
        self.directory = directory
        self._fd = os.open(os.path.join(directory, CONTROL), _OPEN)
        self._arena_fd = -1
        try:
            header = _checked_header(directory, self._fd)
            self.settings = Settings.read(header)
            self.geometry = Geometry(
                self.settings.capacity, header[H_PARTICIPANTS], self.settings.arena_bytes
            )
            self._arena_fd = self._open_arena()
            memory = mmap.mmap(self._fd, self.geometry.total * 8)
            self.address = address_of(memory)
            self.control = memoryview(memory)
            self.words = self.control.cast("Q")
            self.arena = memoryview(mmap.mmap(self._arena_fd, self.settings.arena_bytes))
        except BaseException:
            self.close()
            raise

    def _open_arena(self) -> int:
        _check_size(self.directory, CONTROL, self._fd, self.geometry.total * 8)
        try:
            fd = os.open(os.path.join(self.directory, ARENA), _OPEN)
        except FileNotFoundError as error:
            raise _damaged(self.directory, f"{ARENA} is missing") from error
        _check_size(self.directory, ARENA, fd, self.settings.arena_bytes)
        return fd

    def close(self) -> None:
        """Close the files; what is mapped goes when nobody refers to it any more."""
        for fd in (self._fd, self._arena_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._arena_fd = -1

    def commit_slots(self, start: int) -> int:
        """Commit memory for the chunk of slots from ``start`` on; how many that is."""
        count = min(SLOT_CHUNK, self.geometry.capacity - start)
        at = (self.geometry.meta_at + start * META_WORDS) * 8
        with _space(self.directory):
            _allocate(self._fd, at, count * META_WORDS * 8)
        return count

    def commit_arena(self, start: int) -> int:
        """Commit memory for the chunk of arena blocks from ``start`` on; how many, 0 at the end."""
        count = min(ARENA_CHUNK, self.geometry.arena_blocks - start)
        if count > 0:
            with _space(self.directory):
                _allocate(self._arena_fd, start * BLOCK_BYTES, count * BLOCK_BYTES)
        return max(count, 0)


def build(directory: str, settings: Settings) -> None:
    """Make the files of a new queue. The caller holds the exclusive lock of the directory."""
    remove_files(directory)
    try:
        with _space(directory):
            os.mkdir(os.path.join(directory, BLOBS), 0o700)
            _make_file(os.path.join(directory, ARENA), settings.arena_bytes, 0)
            _make_control(os.path.join(directory, _NEW), settings)
            os.link(os.path.join(directory, _NEW), os.path.join(directory, CONTROL))
            os.unlink(os.path.join(directory, _NEW))
    except BaseException:
        remove_files(directory)
        raise


def _make_control(path: str, settings: Settings) -> None:
    geometry = Geometry(settings.capacity, MAX_PARTICIPANTS, settings.arena_bytes)
    _make_file(path, geometry.total * 8, geometry.meta_at * 8)
    fd = os.open(path, _OPEN)
    try:
        with mmap.mmap(fd, geometry.meta_at * 8) as memory, memoryview(memory) as view, view.cast("Q") as words:
            words[H_MAGIC] = MAGIC
            words[H_VERSION] = VERSION
            words[H_ENDIAN] = ENDIAN
            words[H_LAYOUT] = layout_hash()
            words[H_LOCK_KIND] = LOCK_FCNTL
            words[H_PARTICIPANTS] = MAX_PARTICIPANTS
            words[H_CREATED] = time.time_ns() // 1000
            settings.write(words)
            words[H_CHECKSUM] = zlib.crc32(view[: H_CHECKSUM * 8])
            words[SEQ] = 1
            words[COUNTS + ST_FREE] = settings.capacity
    finally:
        os.close(fd)


def _make_file(path: str, size: int, committed: int) -> None:
    fd = os.open(path, _CREATE, 0o600)
    try:
        os.ftruncate(fd, size)
        if committed:
            _allocate(fd, 0, committed)
    finally:
        os.close(fd)


def remove_files(directory: str) -> None:
    """Remove what a queue consists of, but not its lock file: the control file first."""
    blobs = os.path.join(directory, BLOBS)
    paths = [os.path.join(directory, name) for name in (CONTROL, _NEW, ARENA)]
    try:
        paths += [os.path.join(blobs, name) for name in os.listdir(blobs)]
    except FileNotFoundError:
        pass
    remove: list[tuple[Callable[[str], None], str]] = [(os.unlink, path) for path in paths]
    for call, path in [*remove, (os.rmdir, blobs)]:
        try:
            call(path)
        except FileNotFoundError:
            pass


def _allocate(fd: int, start: int, size: int) -> None:
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None:  # macOS has none: there a full disk is found out too late
        allocate(fd, start, size)


@contextmanager
def _space(directory: str) -> Iterator[None]:
    """Tell what to do about a file system that is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise StorageError(f"cannot write in {directory}: {error.strerror}") from error
        raise QueueFull(
            f"shared memory exhausted: no space left in {directory}; make it larger"
            " (Docker: --shm-size), set IPCQ_DIR to a larger file system, or run: ipcq gc"
        ) from error


# --- checking -----------------------------------------------------------------------------------


def _checked_header(directory: str, fd: int) -> memoryview:
    page = os.pread(fd, PAGE_WORDS * 8, 0)
    if len(page) < PAGE_WORDS * 8:
        raise _damaged(directory, f"{CONTROL} has {len(page)} bytes")
    header = memoryview(page).cast("Q")
    if header[H_MAGIC] != MAGIC:
        raise _damaged(directory, f"{CONTROL} is not a queue of ipcq")
    if (header[H_VERSION], header[H_ENDIAN], header[H_LAYOUT]) != (VERSION, ENDIAN, layout_hash()):
        raise VersionMismatch(
            f"the queue in {directory} was made by another version of ipcq; use that version,"
            " or remove the queue with: ipcq gc --force"
        )
    if header[H_CHECKSUM] != zlib.crc32(page[: H_CHECKSUM * 8]):
        raise _damaged(directory, "the checksum of its header is wrong")
    if header[H_LOCK_KIND] != LOCK_FCNTL:
        raise VersionMismatch(f"the queue in {directory} uses a kind of lock that this ipcq does not have")
    return header


def _check_size(directory: str, name: str, fd: int, size: int) -> None:
    has = os.fstat(fd).st_size
    if has != size:
        raise _damaged(directory, f"{name} has {has} bytes, not {size}")


def _damaged(directory: str, what: str) -> CorruptQueue:
    return CorruptQueue(f"the queue in {directory} is damaged: {what}; remove it with: ipcq gc --force")
