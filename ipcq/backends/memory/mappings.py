"""Mappings of files that come back: the file that a task leaves is the next one's, under another name.

To map a file anew costs a fault for each of its pages, several times what the copy costs. So a handle
keeps some mappings, by inode. Three rules make that safe:

- A kept mapping holds no lock and is not looked at. Who has a lock on the file, shared to read and
  exclusive to write, and has seen the file's length meanwhile, uses so much of the mapping. Since a
  file is shortened under an exclusive lock only, no view ever leads behind its end (SIGBUS).
- Each view owns a descriptor with its own lock and gives it up when nothing made of it lives any
  more, in the very moment: no finalizer in Python, which a Ctrl-C or a cycle of objects could upset.
- A mapping keeps the pages of a file that was removed. So those are let go of at each use, and there
  are only so many.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
from functools import lru_cache
from typing import Any

from .segment import Descriptor

__all__ = ["Mapping", "Mappings", "few_left"]

_POPULATE = getattr(mmap, "MAP_POPULATE", 0)  # else each page is a fault, of which reading needs few
_UNUSED = 64  # uses of others after which a mapping gives way; at once, a long round would find none
_CHUNK = 4 << 20  # copied at once: other threads and Ctrl-C wait for it


class Mapping:
    """All bytes that one file had when it was mapped, to read and write."""

    def __init__(self, file: Descriptor, length: int, *, populate: bool) -> None:
        """Map an open file, of which this descriptor has no lock."""
        self.used = 0
        self._file = file
        flags = mmap.MAP_SHARED | (_POPULATE if populate else 0)
        self._memory = mmap.mmap(file.number, length, flags, mmap.PROT_READ | mmap.PROT_WRITE)

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def names(self) -> int:
        """How many names lead to the file; once none does, none ever will."""
        return os.fstat(self._file.number).st_nlink

    def view(self, fd: int, length: int) -> memoryview:
        """The first bytes, read-only; the lock that ``fd`` has is held for as long as they are seen."""
        whole: Any = _exporter(len(self._memory)).from_buffer(self._memory)
        whole.lock = mmap.mmap(fd, 1, access=mmap.ACCESS_READ)  # with a descriptor of its own
        return memoryview(whole).cast("B")[:length].toreadonly()

    def fill(self, views: list[memoryview]) -> None:
        """Write these bytes; by somebody with the exclusive lock, where the file has memory for them."""
        at = 0
        with memoryview(self._memory) as memory:
            for view in views:
                for start in range(0, len(view), _CHUNK):
                    part = view[start : start + _CHUNK]
                    memory[at : at + len(part)] = part
                    at += len(part)


class _Opened(Descriptor):
    """A descriptor that is open already."""

    __slots__ = ()

    def __init__(self, number: int) -> None:
        self.number = number


@lru_cache(maxsize=16)  # to make a class takes longer than to map a small file
def _exporter(length: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    """A class of which each object shows ``length`` bytes of a buffer and can own something besides."""
    return type("Bytes", (ctypes.c_ubyte * length,), {"__doc__": "A file's bytes."})


class Mappings:
    """The mappings that one handle keeps. Threads may share it: each step is one of a dict's."""

    def __init__(self, files: int, size: int) -> None:
        """
        Args:
            files: most that are kept; 0 for none.
            size: most bytes that they may have together.
        """
        self._files = files
        self._size = size
        self._uses = 0
        self._kept: dict[tuple[int, int], Mapping] = {}  # the last used last

    def __contains__(self, status: os.stat_result) -> bool:
        return _key(status) in self._kept

    def get(self, status: os.stat_result) -> Mapping | None:
        """The mapping of this file if it covers its length."""
        self._uses += 1
        self._drop_removed()
        mapping = self._kept.pop(_key(status), None)
        if mapping is None or len(mapping) < status.st_size:
            return None
        self._keep(status, mapping)
        return mapping

    def _keep(self, status: os.stat_result, mapping: Mapping) -> None:
        mapping.used = self._uses
        self._kept[_key(status)] = mapping

    def add(
        self, name: str, here: Descriptor, status: os.stat_result, *, populate: bool = False
    ) -> Mapping | None:
        """Map a file that this process has locked, and keep that; None where it is not to be or cannot be.

        Args:
            status: of the locked file, whether the name still leads there or not.
            populate: have all pages mapped at once, for somebody who writes them all.
        """
        if not self._has_room(status.st_size):
            return None
        try:
            # Not the one with the lock: a mapping owns a copy, and the lock would live with it.
            file = _Opened(os.open(name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=here.number))
            if few_left(file.number) or not os.path.samestat(os.fstat(file.number), status):
                return None
            mapping = Mapping(file, status.st_size, populate=populate)
        except (OSError, ValueError):  # retired meanwhile; or no descriptor, memory or address is left
            return None
        self._keep(status, mapping)
        return mapping

    def _has_room(self, size: int) -> bool:
        """Whether one more may be kept, after those that were not used for long gave way."""
        kept = list(self._kept.items())
        total = sum([len(mapping) for _, mapping in kept])
        for n, (key, mapping) in enumerate(kept):
            if len(kept) - n < self._files and total + size <= self._size:
                return True
            if self._uses - mapping.used <= _UNUSED:
                return False
            self._kept.pop(key, None)
            total -= len(mapping)
        return self._files > 0 and size <= self._size

    def _drop_removed(self) -> None:
        for key in [key for key, mapping in list(self._kept.items()) if not mapping.names]:
            self._kept.pop(key, None)

    def clear(self) -> None:
        """Keep none; what somebody looks at stays for as long as that."""
        self._kept.clear()


def _key(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def few_left(fd: int) -> bool:
    """Whether this process has few descriptors left, judged by one that it just got."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most != resource.RLIM_INFINITY and fd > most * 3 // 4
