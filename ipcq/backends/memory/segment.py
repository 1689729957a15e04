"""The files of one queue: made whole or not at all, checked, mapped, and grown.

A new control file is built under another name and linked into place, so nobody ever sees half of
one. Memory is committed with ``posix_fallocate`` before it is used: where there is none left that
is an error here, while a store to a page that cannot be had would be a SIGBUS.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...errors import CorruptQueue, QueueClosed, QueueFull, StorageError, VersionMismatch
from .futex import address_of
from .layout import (
    ARENA_CHUNK,
    BLOCK_BYTES,
    COUNTS,
    ENDIAN,
    H_ARENA_BYTES,
    H_CAPACITY,
    H_CHECKSUM,
    H_CREATED,
    H_ENDIAN,
    H_LAYOUT,
    H_LOCK_KIND,
    H_MAGIC,
    H_PARTICIPANTS,
    H_VERSION,
    LOCK_FCNTL,
    LOCK_WORD,
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
from .mode import COMPILED, WHY_NOT
from .settings import LARGEST_ARENA, LARGEST_CAPACITY, Settings

__all__ = [
    "ARENA",
    "BLOBS",
    "CONTROL",
    "LOCK",
    "Descriptor",
    "Segment",
    "allocate",
    "build",
    "remove_files",
    "space",
]

CONTROL = f"ctl.v{VERSION}"
ARENA = f"arena.v{VERSION}"
BLOBS = "blob"
LOCK = "lock"

LOCK_KIND = LOCK_WORD if COMPILED else LOCK_FCNTL

_NEW = "ctl.new"
_BLOB = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?|pool\.[0-9]+")
_OPEN = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
_CREATE = _OPEN | os.O_CREAT | os.O_EXCL
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Descriptor:
    """An open file, closed when nobody refers to it any more: no thread can close it under another."""

    __slots__ = ("number",)

    def __init__(self, path: str, flags: int) -> None:
        self.number = -1
        self.number = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)


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
        self._file: Descriptor | None = None
        self._arena_file: Descriptor | None = None
        with _usable(directory):
            self._file = Descriptor(os.path.join(directory, CONTROL), os.O_RDWR)
            try:
                self._map(self._file)
            except FileNotFoundError as error:
                raise _damaged(directory, f"{os.path.basename(error.filename)} is missing") from error

    def _map(self, file: Descriptor) -> None:
        header = _checked_header(self.directory, file.number)
        self.settings = Settings.read(header)
        self.geometry = Geometry(self.settings.capacity, header[H_PARTICIPANTS], self.settings.arena_bytes)
        size = self.geometry.total * 8
        _check_size(self.directory, CONTROL, file.number, size)
        self._arena_file = Descriptor(os.path.join(self.directory, ARENA), os.O_RDWR)
        _check_size(self.directory, ARENA, self._arena_file.number, self.settings.arena_bytes)
        os.stat(os.path.join(self.directory, BLOBS))
        memory = mmap.mmap(file.number, size)
        self.address = address_of(memory)
        self.control = memoryview(memory)
        self.words = self.control.cast("Q")
        self.arena = memoryview(mmap.mmap(self._arena_file.number, self.settings.arena_bytes))

    def close(self) -> None:
        """Close the files; what is mapped goes when nobody refers to it any more."""
        self._file = self._arena_file = None

    def commit_slots(self, start: int) -> int:
        """Commit memory for the chunk of slots from ``start`` on; how many that is."""
        count = min(SLOT_CHUNK, self.geometry.capacity - start)
        at = (self.geometry.meta_at + start * META_WORDS) * 8
        self._commit(self._file, at, count * META_WORDS * 8)
        return count

    def commit_arena(self, start: int) -> int:
        """Commit memory for the chunk of arena blocks from ``start`` on; how many, 0 at the end."""
        count = min(ARENA_CHUNK, self.geometry.arena_blocks - start)
        if count > 0:
            self._commit(self._arena_file, start * BLOCK_BYTES, count * BLOCK_BYTES)
        return max(count, 0)

    def _commit(self, file: Descriptor | None, start: int, size: int) -> None:
        if file is None:
            raise QueueClosed(f"this handle on the queue in {self.directory} was closed")
        with space(self.directory):
            allocate(file.number, start, size)


@contextmanager
def _usable(directory: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a file shrank before it was mapped
        raise StorageError(f"cannot use the queue in {directory}: {error}") from error


def build(directory: str, settings: Settings) -> None:
    """Make the files of a new queue. The caller holds the exclusive lock of the directory."""
    remove_files(directory)
    try:
        with space(directory):
            _make_blob_directory(os.path.join(directory, BLOBS))
            _make_file(os.path.join(directory, ARENA), settings.arena_bytes, 0)
            _make_control(os.path.join(directory, _NEW), settings)
            os.link(os.path.join(directory, _NEW), os.path.join(directory, CONTROL))
            os.unlink(os.path.join(directory, _NEW))
    except BaseException:
        remove_files(directory)
        raise


def _make_blob_directory(path: str) -> None:
    """Make it new, never use an old one: an old queue's producers may have that open."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError as error:
        raise StorageError(
            f"{path} holds files that are not of this queue; remove them, or try again"
        ) from error


def _make_control(path: str, settings: Settings) -> None:
    geometry = Geometry(settings.capacity, MAX_PARTICIPANTS, settings.arena_bytes)
    _make_file(path, geometry.total * 8, geometry.meta_at * 8)
    fd = os.open(path, _OPEN)
    try:
        with (
            mmap.mmap(fd, geometry.meta_at * 8) as memory,
            memoryview(memory) as view,
            view.cast("Q") as words,
        ):
            words[H_MAGIC] = MAGIC
            words[H_VERSION] = VERSION
            words[H_ENDIAN] = ENDIAN
            words[H_LAYOUT] = layout_hash()
            words[H_LOCK_KIND] = LOCK_KIND
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
            allocate(fd, 0, committed)
    finally:
        os.close(fd)


def remove_files(directory: str) -> None:
    """Remove what a queue consists of, but not its lock file: the control file first.

    Files of other names stay, and with them the directory of the blobs.

    Raises:
        StorageError: something of theirs cannot be removed.
    """
    blobs = os.path.join(directory, BLOBS)
    try:
        for name in (CONTROL, _NEW, ARENA):
            _gone(os.unlink, os.path.join(directory, name))
        for name in _blob_names(blobs):
            _gone(os.unlink, os.path.join(blobs, name))
        _gone(os.rmdir, blobs)
    except OSError as error:
        raise StorageError(f"cannot remove {error.filename}: {error.strerror}") from error


def _blob_names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if _BLOB.fullmatch(name)]
    except FileNotFoundError:
        return []


def _gone(remove: Callable[[str], None], path: str) -> None:
    try:
        remove(path)
    except OSError as error:
        # Not empty: foreign files, or a producer that did not know yet. `build` and gc look again.
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise


def allocate(fd: int, start: int, size: int) -> None:
    """Commit memory for a range of a file."""
    commit = getattr(os, "posix_fallocate", None)
    if commit is not None:  # macOS has none: there a full disk is found out too late
        commit(fd, start, size)


@contextmanager
def space(directory: str) -> Iterator[None]:
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
    if header[H_LOCK_KIND] != LOCK_KIND:
        raise VersionMismatch(_other_lock(directory, header[H_LOCK_KIND]))
    if not _is_possible(header):
        raise _damaged(directory, "its header has sizes that no queue has")
    return header


def _other_lock(directory: str, kind: int) -> str:
    """The two modes do not see each other's lock."""
    if kind == LOCK_WORD and not COMPILED:
        return (
            f"the queue in {directory} is locked by a word of shared memory, which takes the compiled ipcq;"
            f" this process runs uncompiled ({WHY_NOT}); run it compiled, or remove the queue with:"
            " ipcq gc --force"
        )
    if kind == LOCK_FCNTL and COMPILED:
        return (
            f"the queue in {directory} is locked by a byte lock of the kernel, as the uncompiled ipcq does;"
            " this process runs compiled; set IPCQ_PURE=1 for it to go on with the queue, or remove the"
            " queue with: ipcq gc --force"
        )
    return f"the queue in {directory} uses a kind of lock that this ipcq does not have"


def _is_possible(header: memoryview) -> bool:
    arena = header[H_ARENA_BYTES]
    return (
        0 < header[H_CAPACITY] <= LARGEST_CAPACITY
        and header[H_PARTICIPANTS] == MAX_PARTICIPANTS
        and 0 < arena <= LARGEST_ARENA
        and arena % (ARENA_CHUNK * BLOCK_BYTES) == 0
    )


def _check_size(directory: str, name: str, fd: int, size: int) -> None:
    has = os.fstat(fd).st_size
    if has != size:
        raise _damaged(directory, f"{name} has {has} bytes, not {size}")


def _damaged(directory: str, what: str) -> CorruptQueue:
    return CorruptQueue(f"the queue in {directory} is damaged: {what}; remove it with: ipcq gc --force")
