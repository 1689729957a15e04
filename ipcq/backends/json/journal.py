r"""The bytes of a log: a head, and one line of JSON for each write. Pure: bytes in, values out.

::

    {"ipcq":"json","version":1,"id":"5f0c...","generation":0,"base":0,"size":0,"set_aside":0,"crc":"1c291ca3"}
    {"ipcq":"json","version":1,"id":"5f0c...","generation":0,"base":0,"size":0,"set_aside":0,"crc":"1c291ca3"}
    {"v":1,"to":1,"key":"c/jobs","json":{"codec":"json"},"crc":"5f3a9b10"}
    {"v":2,"to":3,"key":"t/jobs/0193...","json":{"payload":"[1,2]"},"crc":"9b1001aa"}
    {"v":3,"to":3,"key":"p/jobs/0193...","base64":"gqFh","crc":"00f2ad91"}
    {"v":4,"to":4,"key":"p/jobs/0193...","removed":true,"crc":"7b7a33c1"}

The head stands there twice, so that one damaged byte leaves one of them. ``v`` is the version of a write,
``to`` that of the last write of the same batch: where the line with ``v`` = ``to`` is missing at the end of
the log, the batch was never whole and none of it counts. ``crc`` is the CRC-32 of all before it in its line.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Iterable
from typing import NamedTuple

__all__ = [
    "FORMAT",
    "Batches",
    "Damage",
    "Entry",
    "Head",
    "Line",
    "batch",
    "body",
    "find_head",
    "is_torn_head",
]

FORMAT = 1
"""The major version: another one is refused, not misread."""

_HEAD = re.compile(rb'\{"ipcq":"json","version":(\d{1,9}),[^\n]*?,"crc":"[0-9a-f]{8}"\}')
_HEAD_START = b'{"ipcq":"json","version":'
_LINE = re.compile(
    rb'\{"v":(\d{1,19}),"to":(\d{1,19}),"key":("(?:[^"\\]|\\.)*"),"(json|base64|removed)":', re.DOTALL
)
_SEAL = len(b',"crc":"00000000"}')


def _seal(text: bytes) -> bytes:
    return b'%b,"crc":"%08x"}\n' % (text, zlib.crc32(text))


def _is_whole(line: bytes | memoryview) -> bool:
    """Whether a line, without its end, has the checksum that it tells."""
    return line[-_SEAL:] == b',"crc":"%08x"}' % zlib.crc32(line[:-_SEAL])


# --- the head -------------------------------------------------------------------------------------


class Head(NamedTuple):
    """What a log tells of itself.

    Attributes:
        id: of this log and no other; stays when it is written anew.
        generation: how often it was written anew.
        base: a version; every write with a greater one is in the log as it was made. Of those before only the
            last of each record is there, and nothing of records that were removed.
        size: how many bytes of lines were written with the head.
        set_aside: how many damaged lines were set aside so far.
        version: of the format.
    """

    id: str
    generation: int = 0
    base: int = 0
    size: int = 0
    set_aside: int = 0
    version: int = FORMAT

    def encode(self) -> bytes:
        """Its bytes, twice."""
        fields = {"ipcq": "json", "version": self.version, **self._asdict()}  # keeps its place in front
        return _seal(json.dumps(fields, separators=(",", ":")).encode()[:-1]) * 2


def find_head(data: bytes) -> tuple[Head, int] | None:
    """The head in the first bytes of a log, as long as one of its two lines is whole, and where it ends.

    Of a format that is not ours only the version is told.
    """
    for match in _HEAD.finditer(data):
        if _is_whole(match[0]):
            end = 2 * (len(match[0]) + 1)
            if int(match[1]) != FORMAT:
                return Head("", version=int(match[1])), end
            fields = json.loads(match[0])
            return Head(*(fields[name] for name in Head._fields)), end
    return None


def is_torn_head(data: bytes) -> bool:
    """Whether these bytes, all that the file has, are the beginning of a head that was cut off."""
    return b"\n" not in data and data[: len(_HEAD_START)] == _HEAD_START[: len(data)]


# --- lines ----------------------------------------------------------------------------------------


def body(key: str, value: bytes | None) -> bytes:
    """What a line says but for its version: the costly part, made before any lock is taken.

    JSON on one line stands there as it is, so that people and programs can read it; other bytes as base64.
    """
    name = json.dumps(key).encode()
    if value is None:
        return b',"key":%b,"removed":true' % name
    if _is_json(value):
        return b',"key":%b,"json":%b' % (name, value)
    return b',"key":%b,"base64":"%b"' % (name, binascii.b2a_base64(value, newline=False))


def _is_json(value: bytes) -> bool:
    if b"\n" in value:
        return False
    try:
        json.loads(value.decode())
    except (ValueError, RecursionError):
        return False
    return True


def batch(bodies: Iterable[bytes], first: int, last: int) -> list[bytes]:
    """The lines of one batch of writes, whose versions are ``first`` to ``last``."""
    return [_seal(b'{"v":%d,"to":%d%b' % (first + n, last, each)) for n, each in enumerate(bodies)]


class Line(NamedTuple):
    """A line that was read.

    Attributes:
        version: of its write.
        last: that of the last write of its batch.
        key: the record's.
        kind: how the value is written.
        start: where in the line it begins.
    """

    version: int
    last: int
    key: str
    kind: bytes
    start: int

    @classmethod
    def read(cls, line: bytes) -> Line | None:
        """Read a line with its end; None where it is damaged."""
        match = _LINE.match(line) if _is_whole(line[:-1]) else None
        if match is None:
            return None
        version, last, key, kind = match.groups()
        name = json.loads(key) if b"\\" in key else key[1:-1].decode()
        return cls(int(version), int(last), name, kind, match.end())

    def value(self, line: bytes) -> bytes | None:
        """The value in the line; None for a removal."""
        if self.kind == b"removed":
            return None
        text = line[self.start : -_SEAL - 1]
        return text if self.kind == b"json" else binascii.a2b_base64(text[1:-1])


# --- batches --------------------------------------------------------------------------------------


class Entry(NamedTuple):
    """Where a record's last write is.

    Attributes:
        offset: of its line in the file; -1 for a removal.
        length: of the line, its end included; 0 for a removal.
    """

    key: str
    version: int
    offset: int
    length: int


class Damage(NamedTuple):
    """A line that is no record, and where it is."""

    offset: int
    line: bytes


class Batches:
    """Puts the lines of a log together to batches, from some place in it on.

    A batch counts when its last line is there, or when another batch follows: whoever appends cuts off what
    is not whole, so in front of a later batch only damage can have taken that line away.

    Attributes:
        end: where the last batch that counts ends.
        last: the version of the last write that counts.
        spent: the greatest version that any line spoke of. One that is cut off is not used again: a reader
            who came in between would take the halves of two batches for a whole one.
        entries: of all writes that count, in their order.
        damaged: lines that are no records.
        is_sure: each batch that counts has its last line, and every line was a record. Else there is damage,
            or somebody was writing while we read: only whoever has the lock can tell.
    """

    def __init__(self, end: int, last: int, settled: int = 0) -> None:
        """
        Args:
            end: where it begins to read.
            last: the version of the write before.
            settled: up to here each line counts by itself: lines of older batches, written anew.
        """
        self._settled = settled
        self.end = self._offset = end
        self.last = self.spent = self._seen = last
        self.is_sure = True
        self.entries: list[Entry] = []
        self.damaged: list[Damage] = []
        self._open: list[Entry] = []
        self._open_last = 0

    def __repr__(self) -> str:
        return (
            f"<Batches [{len(self.entries)} entries to byte {self.end}, {len(self.damaged)} damaged lines]>"
        )

    def feed(self, line: bytes) -> None:
        """Take the next line, with its end."""
        offset, self._offset = self._offset, self._offset + len(line)
        found = Line.read(line)
        if found is None or not self._seen < found.version <= found.last:
            self.damaged.append(Damage(offset, line))
            self.is_sure = False
            return
        if self._open and self._open_last != found.last:
            self.is_sure = False
            self._close(offset)
        self._seen, self._open_last = found.version, found.last
        self.spent = max(self.spent, found.last)
        removed = found.kind == b"removed"
        place = (-1, 0) if removed else (offset, len(line))
        self._open.append(Entry(found.key, found.version, *place))
        if found.version == found.last or self._offset <= self._settled:
            self._close(self._offset)

    def _close(self, end: int) -> None:
        self.entries += self._open
        self.end, self.last = end, self._open[-1].version
        self._open = []
