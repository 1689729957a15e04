"""Where each record is in the log, in the order of their versions. Pure: no file, no clock."""

from __future__ import annotations

from collections.abc import Iterable

from ..store import Forgotten
from .journal import Entry

__all__ = ["Index"]


class Index:
    """The last write of each record. Its size is that of what there is, not of what there was.

    Attributes:
        last: the version of the last write.
        oldest: removals up to this version are not known any more.
        live: how many bytes the lines of all records take.
    """

    def __init__(self, base: int = 0) -> None:
        self.last = self.oldest = base
        self.live = 0
        self._entries: dict[str, Entry] = {}  # a write moves its record to the end: ordered by version

    def __repr__(self) -> str:
        return f"<Index [{len(self._entries)} entries, {self.live} bytes live, version {self.last}]>"

    def apply(self, entries: Iterable[Entry], last: int) -> None:
        """Take in later writes, up to version ``last``. Doing it twice is doing it once."""
        mine = self._entries
        for entry in entries:
            before = mine.pop(entry.key, None)
            if before is not None:
                self.live -= before.length
            mine[entry.key] = entry
            self.live += entry.length
        self.last = last

    def get(self, key: str) -> Entry | None:
        """Where a record is; None where there is none, or it was removed."""
        entry = self._entries.get(key)
        return entry if entry is not None and entry.length else None

    def version(self, key: str) -> int:
        """The version of a record; 0 where there is none."""
        entry = self._entries.get(key)
        return entry.version if entry is not None and entry.length else 0

    def is_current(self, entry: Entry) -> bool:
        """Whether this is still the last write of its record."""
        mine = self._entries.get(entry.key)
        return mine is not None and mine.version == entry.version

    def place(self, entry: Entry) -> Entry:
        """The same write, where it is by now."""
        return self._entries[entry.key]

    def check(self, after: int) -> None:
        """Raise `Forgotten` unless all removals since ``after`` are known."""
        if 0 < after < self.oldest or after > self.last:
            raise Forgotten(
                f"what was removed since version {after} is not known any more: the log was written anew;"
                " scan from 0 on"
            )

    def since(self, after: int) -> list[Entry]:
        """The last write of each record whose version is greater than ``after``, by version.

        Removals are among them unless ``after`` is 0. It costs what it finds, not what there is.
        """
        found = []
        for entry in reversed(self._entries.values()):
            if entry.version <= after:
                break
            if after or entry.length:
                found.append(entry)
        found.reverse()
        return found

    def lines(self) -> list[Entry]:
        """Every record, by version: what a log that is written anew holds."""
        return [entry for entry in self._entries.values() if entry.length]

    def skip(self, version: int) -> None:
        """Records may be gone without a removal: whoever asks from before this version begins anew."""
        self.last = self.oldest = version

    def move(self, start: int, oldest: int) -> None:
        """The same lines now follow each other from offset ``start`` on.

        Args:
            oldest: removals up to this version are forgotten now.
        """
        moved: dict[str, Entry] = {}
        for entry in self._entries.values():
            if entry.length:
                moved[entry.key] = Entry(entry.key, entry.version, start, entry.length)
                start += entry.length
            elif entry.version > oldest:
                moved[entry.key] = entry
        self._entries, self.oldest = moved, max(self.oldest, oldest)  # or who was told to begin anew is not
