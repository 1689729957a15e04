"""The log as one process knows it: what is in it, up to which byte, and what to do where it is damaged."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...errors import CorruptQueue, QueueClosed, QueueFull, QueueNotFound, StorageError, VersionMismatch
from .anew import copies, set_aside, write_anew
from .index import Index
from .journal import FORMAT, Batches, Entry, Head, Line, batch, find_head, is_torn_head
from .logfile import LogFile, sync_directory

__all__ = ["FLOOR", "Log", "new_id", "open_log"]

logger = logging.getLogger("ipcq.json")

FLOOR = 1 << 20
"""Bytes that nothing needs any more and that are not worth writing a log anew."""

_HEAD_BYTES = 4096  # more than a head ever has


class _Opened(NamedTuple):
    """A log that was opened.

    Attributes:
        start: where the lines begin.
        is_whole: both of its head's lines are.
    """

    file: LogFile
    head: Head
    start: int
    is_whole: bool


class Log:
    """What is in the log. Calls come one at a time; those that say so need the lock.

    Attributes:
        file: the log, open.
        head: as it was read.
        index: where each record is.
    """

    def __init__(self, path: str, retire: Callable[[LogFile], None]) -> None:
        """
        Args:
            path: of the file, which exists.
            retire: closes a file that was replaced.

        Raises:
            QueueNotFound, CorruptQueue, VersionMismatch, UnsafeDirectory, StorageError.
        """
        self.path = path
        self._retire = retire
        self._patience = 0  # the size below which the log is not written anew
        self._told = False  # that damage cannot be set aside
        self._known = 0  # the greatest version of a log in whose place there is an older one
        self._enter(open_log(path))

    def __repr__(self) -> str:
        return f"<Log {self.path!r} [generation {self.head.generation}, {self._end} bytes, {self.index!r}]>"

    def _enter(self, opened: _Opened) -> None:
        """Begin to read a file from its start."""
        self.file, self.head, self._start, self._is_whole = opened
        self._begin()

    def _begin(self) -> None:
        self.index = Index(self.head.base)
        self._end = self._start
        self._left: list[bytes] = []  # damaged lines that could not be set aside
        self._seen = self._spent = 0  # versions: of the last line read, the greatest spoken of

    @property
    def end(self) -> int:
        """Up to which byte the file was read."""
        return self._end

    # --- reading --------------------------------------------------------------------------------

    def look(self) -> bool:
        """Read what came; False if only whoever has the lock can tell what is there."""
        size = self._current_size()
        if size == self._end and self._is_whole:
            return True
        return size > self._end and self._is_whole and self._take(self._read(size))

    def settle(self) -> None:
        """With the lock: read what came, cut off what is not whole, set aside what is damaged."""
        size = self._current_size()
        if size < self._end:
            self.reread()
        elif size > self._end or not self._is_whole or self._left:
            self._settle(size)

    def reread(self) -> None:
        """With the lock: what was read before is not there any more; read the log from its start."""
        self._known = max(self.index.last, self._spent)
        self._begin()
        self._settle(self._current_size())
        self._forget()

    def _forget(self) -> None:
        """Whoever asks for changes begins anew: the versions that he knows do not tell what changed."""
        self._known = max(self._known, self.index.last, self._spent) + 1
        self.index.skip(self._known)

    def _settle(self, size: int) -> None:
        found = self._read(size)
        self._take(found, surely=True)
        self._spent = max(self._spent, found.spent)
        self._clean(found, size)

    def _current_size(self) -> int:
        while (size := self.file.size_if_current()) is None:
            self._follow()
        return size

    def value(self, entry: Entry) -> bytes | None:
        """The value of a record.

        Raises:
            CorruptQueue: its line is damaged.
        """
        line = self.file.read(entry.offset, entry.length)
        found = Line.read(line)
        if found is None or (found.key, found.version) != entry[:2]:
            raise CorruptQueue(f"{self.path}: the line of {entry.key!r} at byte {entry.offset} is damaged")
        return found.value(line)

    def _read(self, size: int) -> Batches:
        found = Batches(self._end, self._seen, settled=self._start + self.head.size)
        for line in self.file.lines(self._end, size):
            found.feed(line)
        return found

    def _take(self, found: Batches, *, surely: bool = False) -> bool:
        if not (surely or found.is_sure):
            return False
        if found.entries:
            self.index.apply(found.entries, max(self.index.last, found.last))
            if found.entries[0].version <= self._known:
                self._forget()
        self._end, self._seen = found.end, found.last
        self._spent = max(self._spent, found.last)
        return True

    def _follow(self) -> None:
        """The path names a newer file: read the old one to its end, then go on in the new one."""
        opened = open_log(self.path)
        old, head = self.file, self.head
        if opened.head.id != head.id and opened.is_whole:
            opened.file.close()
            raise QueueClosed(f"{self.path} was replaced by another queue; open it again")
        sure = self._take(self._read(old.size()))
        index = self.index
        same = (opened.head.generation, opened.head.base, opened.head.size)
        if sure and same == (head.generation + 1, index.last, index.live):
            self.file, self.head, self._start, self._is_whole = opened
            self._relocate(oldest=head.base)
        else:
            self._enter(opened)
            if self.head.base < index.last:  # somebody put an older copy of this log in its place
                self._known = index.last
                self._forget()
        self._retire(old)
        sync_directory(self.path)  # whoever wrote it anew may have been killed before that

    def _relocate(self, oldest: int) -> None:
        """What the index has was written anew, line by line in its order."""
        self.index.move(self._start, oldest)
        self._end = self._start + self.head.size
        self._seen = self.head.base
        self._spent = max(self._spent, self._seen)

    # --- what is wrong --------------------------------------------------------------------------

    def _clean(self, found: Batches, size: int) -> None:
        """With the lock: nothing is left behind the last batch, and no damage before it."""
        damaged = self._damaged(found, size)
        if damaged and not self._set_aside(damaged):
            self._left = damaged[: len(damaged) - (size > self._end)]  # what is behind the end is read again
            return
        self._left = []
        if size > self._end:
            self.file.cut(self._end)
        if damaged or size < self._start + self.head.size:
            self._try_rewrite(max(self.index.last, self._spent) + 1, len(damaged))

    def _damaged(self, found: Batches, size: int) -> list[bytes]:
        """What is to be kept elsewhere. What was cut off by a death has no end, and is no damage."""
        inside = [each.line for each in found.damaged if each.offset < self._end]
        damaged = self._left + inside
        if len(inside) < len(found.damaged):
            damaged.append(self.file.read(self._end, size - self._end))
        if not (self._is_whole or self._left):
            damaged.insert(0, self.file.read(0, self._start))
        return damaged

    def _set_aside(self, damaged: Sequence[bytes]) -> bool:
        try:
            name = set_aside(self.path, damaged)
        except (StorageError, QueueFull) as error:
            if not self._told:
                logger.warning("%s: damaged lines cannot be set aside: %s", self.path, error)
            self._told = True
            return False
        logger.warning(
            "%s: %d damaged lines were set aside in %s; every other record is kept",
            self.path,
            len(damaged),
            name,
        )
        return True

    # --- writing --------------------------------------------------------------------------------

    def append(self, writes: Sequence[tuple[str, bool]], bodies: Sequence[bytes]) -> list[int]:
        """With the lock, after `settle`: add one batch; the versions of its writes.

        Args:
            writes: key of each, and whether it removes its record.

        Raises:
            QueueFull: there is no room; nothing was added.
        """
        if self.file.size() != self._end:
            raise StorageError(f"{self.path}: its end is damaged and cannot be set aside; make room there")
        first = max(self.index.last, self._spent) + 1
        last = first + len(bodies) - 1
        lines = batch(bodies, first, last)
        self.file.append(b"".join(lines), self._end)
        entries, end = [], self._end
        for version, ((key, removed), line) in enumerate(zip(writes, lines, strict=True), first):
            entries.append(Entry(key, version, -1, 0) if removed else Entry(key, version, end, len(line)))
            end += len(line)
        self.index.apply(entries, last)
        self._end, self._seen, self._spent = end, last, last
        return list(range(first, last + 1))

    def tidy(self) -> None:
        """With the lock, after `settle`: write the log anew if most of it is of no use any more."""
        live = self.index.live
        if self._end - self._start - live > max(live, FLOOR) and self._end >= self._patience:
            self._try_rewrite(self.index.last, 0)

    def _try_rewrite(self, base: int, damaged: int) -> None:
        """Go on with the log as it is where there is no room for another; and try later."""
        try:
            self.rewrite(base, damaged)
        except (StorageError, QueueFull) as error:
            logger.warning("%s: cannot be written anew: %s", self.path, error)
            self._patience = self._end + max(self.index.live, FLOOR)

    def rewrite(self, base: int | None = None, damaged: int = 0) -> None:
        """With the lock, after `settle`: write the log anew, without what is of no use any more.

        Args:
            base: its version; a new one makes everybody read it from the start.
            damaged: how many lines were set aside for it.

        Raises:
            QueueFull, StorageError: it could not be done, and is as it was.
        """
        old, before, index = self.file, self.head, self.index
        base = index.last if base is None else base
        head = Head(before.id, before.generation + 1, base, index.live, before.set_aside + damaged)
        self.file = write_anew(self.path, head, copies(old, index.lines()))
        self.head, self._start, self._is_whole = head, len(head.encode()), True
        self._relocate(oldest=before.base)
        if base > index.last:
            index.skip(base)
        self._retire(old)


def new_id() -> str:
    """The id of a new log."""
    return os.urandom(8).hex()


def open_log(path: str) -> _Opened:
    """Open a log and read its head; errors as `Log`."""
    file = LogFile.open(path)
    try:
        data = file.read(0, _HEAD_BYTES)
        found = find_head(data)
        if found is None:
            raise _stranger(path, data)
        head, start = found
        if head.version != FORMAT:
            raise VersionMismatch(
                f"{path} was written in format {head.version}; this version of ipcq reads format {FORMAT}"
            )
    except BaseException:
        file.close()
        raise
    return _Opened(file, head, start, data[:start] == head.encode())


def _stranger(path: str, data: bytes) -> StorageError:
    if is_torn_head(data):
        return QueueNotFound(f"there is no queue in {path} yet")
    return CorruptQueue(f"{path} is not a queue: it begins with {data[:40]!r}; nothing was changed in it")
