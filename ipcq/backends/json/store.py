"""`JsonStore`: records in a log of JSON lines that several processes append to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from ...errors import CorruptQueue, QueueClosed, QueueInUse, QueueNotFound
from ..bells import Bell
from ..store import Record, Write
from .anew import write_anew
from .journal import Entry, Head, body
from .log import Log, new_id, open_log
from .logfile import LogFile
from .sync import Syncer
from .turn import Turn
from .watch import Glances, Watch, open_watch

__all__ = ["JsonStore"]

T = TypeVar("T")

_Outcome = tuple[list[int] | None, LogFile, int]  # the versions; what to bring to the disk, up to which byte

_AT_ONCE = 256  # records that a scan reads before it lets other threads in


class JsonStore:
    """Records in a file that every process may open: a `TaskStore` that wakes whoever waits.

    Threads may share one object; a forked child opens the file anew when it uses it first.

    Args:
        path: the file; its directory exists. Beside it are ``<path>.lock``, and ``<path>.corrupt`` with what
            was damaged.
        fsync: ``always``: on the disk before a write returns; ``interval``: within a second; ``never``: when
            the kernel likes. Whatever it is, nothing but power loss can take away what was written.
        create: False raises `QueueNotFound` instead of making it.

    Raises:
        CorruptQueue: it is another kind of file; nothing was changed in it.
        VersionMismatch, QueueNotFound, UnsafeDirectory, QueueFull, StorageError.
    """

    def __init__(self, path: str | os.PathLike[str], *, fsync: str = "always", create: bool = True) -> None:
        self.path = os.path.abspath(os.fsdecode(path))
        self.fsync = fsync
        self._closed = False
        self._open(create)

    def _open(self, create: bool) -> None:
        self._sync = Syncer(self.fsync)
        self._watches: list[Watch] = []
        try:
            log = Log(self.path, self._sync.retire)
        except QueueNotFound:
            if not create:
                raise
            self._turn = Turn(self.path)
            self._turn.run(self._turn.alone, self._make)
            log = Log(self.path, self._sync.retire)
        else:
            self._turn = Turn(self.path)
        self._log = log
        self._pid = os.getpid()
        try:
            self._turn.run(self._look)
        except BaseException:
            self._let_go()
            raise

    def _make(self) -> None:
        """With the lock: make the file, unless another process did."""
        try:
            open_log(self.path).file.close()
        except QueueNotFound:
            write_anew(self.path, Head(new_id()), ()).close()

    def __repr__(self) -> str:
        if self._closed:
            return f"<JsonStore {self.path!r} [closed]>"
        log = self._log
        damage = f", {log.head.set_aside} damaged lines set aside" if log.head.set_aside else ""
        return f"<JsonStore {self.path!r} [{self.fsync}, version {log.index.last}, {log.end} bytes{damage}]>"

    def __reduce__(self) -> tuple[Callable[..., JsonStore], tuple[str, str]]:
        return _reopen, (self.path, self.fsync)

    @property
    def set_aside(self) -> int:
        """How many damaged lines were found in the file since it was made; they are in ``<path>.corrupt``."""
        return self._run(self._set_aside)

    # --- TaskStore ------------------------------------------------------------------------------

    def get(self, key: str) -> Record | None:
        """The record of that key; None where there is none, or it was removed."""
        return self._run(self._get, key)

    def put(self, key: str, value: bytes) -> int:
        """Store a record whatever was there before; its version."""
        versions = self._write((key,), (value,), None)
        assert versions is not None  # nothing was expected
        return versions[0]

    def compare_and_set(self, writes: Sequence[Write]) -> list[int] | None:
        """Make all these writes at one moment if every record is as expected; else none of them."""
        if not writes:
            return []
        return self._write([w.key for w in writes], [w.value for w in writes], [w.expected for w in writes])

    def compare_and_set_lightly(self, writes: Sequence[Write]) -> list[int] | None:
        """The same without a trip to the disk; the next write that makes one takes this along."""
        return self._write(
            [w.key for w in writes], [w.value for w in writes], [w.expected for w in writes], lasting=False
        )

    def scan(self, after: int = 0) -> Iterable[Record]:
        """Every record with a version greater than ``after``, by version; removed ones too, with ``after``.

        The last one may be the removal of a record with an empty key, which never was: it tells the version
        up to which nothing is left out. Memory holds a part of the records at a time.
        """
        return self._scan(after, *self._run(self._since, after))

    # --- Waits ----------------------------------------------------------------------------------

    def wait(self, after: int, timeout: float, bell: Bell) -> None:
        """Return when there may be a version greater than ``after``, at the bell, or after so long."""
        watch = self._run(self._arm)
        try:
            if not self._is_past(after):
                watch.wait(timeout, lambda: self._is_past(after), bell)
        finally:
            self._put_back(watch)

    # --- this process's hold on it --------------------------------------------------------------

    def close(self) -> None:
        """Let go of the file; with ``interval``, bring to the disk what waits for it."""
        if not self._closed:
            self._closed = True
            if self._pid == os.getpid():
                self._sync.close()
            self._let_go()

    def __enter__(self) -> JsonStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def compact(self) -> None:
        """Write the file anew without what is of no use; when that is most of it, it happens unasked.

        Raises:
            QueueFull: there is no room for both; the file is as it was.
        """
        self._run(self._turn.alone, self._compact)

    def _compact(self) -> None:
        self._log.settle()
        self._log.rewrite()

    def destroy(self, *, force: bool = False) -> None:
        """Remove the file, and close this.

        Args:
            force: though others are attached; their next call raises `QueueClosed`.

        Raises:
            QueueInUse: others are attached.
        """
        self._run(self._turn.alone, self._remove, force)
        self.close()

    def _remove(self, force: bool) -> None:
        alone = self._turn.try_exclusive()
        if not (alone or force):
            raise QueueInUse(
                f"queue {self.path} has other processes or handles attached; close those, or"
                " destroy(force=True)"
            )
        try:
            self._unlink()
        finally:
            if alone:
                self._turn.unexclusive()

    def _unlink(self) -> None:
        for name in (self.path, f"{self.path}.new", f"{self.path}.lock"):  # the lock last: we have it
            try:
                os.unlink(name)
            except FileNotFoundError:
                pass

    def _let_go(self) -> None:
        if self._pid == os.getpid():
            self._turn.close(lambda: self._sync.retire(self._log.file))
        else:  # no other thread came along, not even one that has the syncer's mutex
            self._turn.close(self._log.file.close)
        self._close_watches()

    def _close_watches(self) -> None:
        while self._watches:
            self._watches.pop().close()

    # --- inside ---------------------------------------------------------------------------------

    def _run(self, section: Callable[..., T], *args: object) -> T:
        """Run a section on what is in the log now."""
        if self._closed:
            raise QueueClosed(f"queue {self.path}: this handle was closed; open it again")
        if self._pid != os.getpid():
            self._let_go()  # the parent's descriptors; its locks are not ours
            self._open(False)
        result: T = self._turn.run(self._after_look, section, args)
        return result

    def _after_look(self, section: Callable[..., T], args: tuple[object, ...]) -> T:
        self._look()
        try:
            return section(*args)
        except CorruptQueue:  # a line that was whole once
            self._turn.alone(self._log.reread)
            return section(*args)

    def _look(self) -> None:
        if not self._log.look():
            self._turn.alone(self._log.settle)

    def _get(self, key: str) -> Record | None:
        entry = self._log.index.get(key)
        return None if entry is None else Record(key, entry.version, self._log.value(entry))

    def _set_aside(self) -> int:
        return self._log.head.set_aside

    def _write(
        self,
        keys: Sequence[str],
        values: Sequence[bytes | None],
        expected: Sequence[int] | None,
        *,
        lasting: bool = True,
    ) -> list[int] | None:
        bodies = [body(key, value) for key, value in zip(keys, values, strict=True)]
        writes = [(key, value is None) for key, value in zip(keys, values, strict=True)]
        self._sync.check()
        outcome: _Outcome = self._run(self._turn.alone, self._store, writes, bodies, expected)
        versions, file, end = outcome
        if versions is not None and lasting:
            self._sync.written(file, end)
        return versions

    def _store(
        self, writes: Sequence[tuple[str, bool]], bodies: Sequence[bytes], expected: Sequence[int] | None
    ) -> _Outcome:
        """With the lock."""
        log = self._log
        log.settle()
        if expected is not None and any(
            log.index.version(key) != version for (key, _), version in zip(writes, expected, strict=True)
        ):
            return None, log.file, log.end
        versions = log.append(writes, bodies)
        written = versions, log.file, log.end
        log.tidy()
        return written

    def _since(self, after: int) -> tuple[list[Entry], int]:
        """What changed after a version, and up to which one."""
        self._log.index.check(after)
        return self._log.index.since(after), self._log.index.last

    def _scan(self, told: int, entries: list[Entry], last: int) -> Iterator[Record]:
        while entries:
            for first in range(0, len(entries), _AT_ONCE):
                yield from self._run(self._read, entries[first : first + _AT_ONCE])
            told = entries[-1].version
            entries, last = self._run(self._since, last)
        if last > told:
            yield Record("", last, None)

    def _read(self, entries: Sequence[Entry]) -> list[Record]:
        """Those of them that are still the last writes of their records: others come later."""
        log = self._log
        found = []
        for entry in entries:
            if log.index.is_current(entry):
                value = log.value(log.index.place(entry)) if entry.length else None
                found.append(Record(entry.key, entry.version, value))
        return found

    # --- waiting --------------------------------------------------------------------------------

    def _arm(self) -> Watch:
        """A watch of the file as it is now; one for each thread that waits."""
        watch = self._watches.pop() if self._watches else open_watch()
        try:
            watch.arm(self._log.file)
        except OSError:  # the kernel has no room for another
            watch.close()
            watch = Glances()
        return watch

    def _put_back(self, watch: Watch) -> None:
        self._watches.append(watch)
        if self._closed:
            self._close_watches()

    def _is_past(self, after: int) -> bool:
        return self._run(self._last) > after

    def _last(self) -> int:
        return self._log.index.last


def _reopen(path: str, fsync: str) -> JsonStore:
    return JsonStore(path, fsync=fsync, create=False)
