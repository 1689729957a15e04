"""Where the items of ``ipcq map`` come from: arguments, file patterns, lines of a descriptor.

A source yields batches, never empty: what one look at the source gave. An item travels as bytes,
UTF-8 with ``surrogateescape``, so that every file name and every line survives the way.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence

from .exits import UsageError

__all__ = ["Splitter", "from_arguments", "from_descriptor", "from_patterns", "pack", "unpack"]

_CHUNK = 1 << 16  # bytes: what a pipe holds on Linux
_LARGEST = 64 << 20  # bytes: a line beyond this is a wrong separator, and would be held whole


def pack(item: str) -> bytes:
    """Return the bytes that carry ``item``."""
    return item.encode("utf-8", "surrogateescape")


def unpack(data: bytes) -> str:
    """Return the item in ``data``, whatever bytes these are."""
    return data.decode("utf-8", "surrogateescape")


def from_arguments(items: Sequence[str]) -> Iterator[list[bytes]]:
    """Yield the given items."""
    if items:
        yield [pack(item) for item in items]


def from_patterns(patterns: Sequence[str]) -> Iterator[list[bytes]]:
    """Yield the files that match each pattern, sorted, each once.

    Args:
        patterns: as in ``glob``, ``**`` for any depth; one that ends in ``/`` matches directories.
    """
    seen: set[str] = set()
    for pattern in map(os.path.expanduser, patterns):
        wanted = os.path.isdir if pattern.endswith(os.sep) else os.path.isfile
        found = set(filter(wanted, glob.iglob(pattern, recursive=True))) - seen
        seen |= found
        if found:
            yield [pack(path) for path in sorted(found)]


def from_descriptor(descriptor: int, separator: bytes = b"\n") -> Iterator[list[bytes]]:
    """Yield what is between separators as soon as it arrives; a last one needs no separator.

    Raises:
        UsageError: the descriptor cannot be read, or an item is too large to be one.
    """
    splitter = Splitter(separator)
    try:
        while chunk := os.read(descriptor, _CHUNK):
            if batch := splitter.feed(chunk):
                yield batch
    except OSError as error:
        raise UsageError(f"cannot read items from standard input: {error.strerror}") from error
    if batch := splitter.rest():
        yield batch


class Splitter:
    """Cuts a stream of bytes into items; a carriage return before a line's end is cut off too."""

    def __init__(self, separator: bytes = b"\n", largest: int = _LARGEST) -> None:
        self._separator = separator
        self._largest = largest
        self._head: list[bytes] = []  # the unfinished item; joined once, however long it gets
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take more bytes; return the items that are complete now."""
        first, *others = chunk.split(self._separator)
        self._keep(first)
        if not others:
            return []
        *complete, tail = others
        complete.insert(0, b"".join(self._head))
        self._head, self._size = [tail], len(tail)
        return self._trim(complete)

    def rest(self) -> list[bytes]:
        """Return the item that the end of the stream completes, if there is one."""
        head, self._head, self._size = b"".join(self._head), [], 0
        return self._trim([head]) if head else []

    def _keep(self, part: bytes) -> None:
        self._head.append(part)
        self._size += len(part)
        if self._size > self._largest:
            raise UsageError(
                f"an item of standard input is longer than {self._largest} bytes;"
                " give one item a line, or end each with a NUL byte and use -0"
            )

    def _trim(self, items: list[bytes]) -> list[bytes]:
        if self._separator != b"\n":
            return items
        return [item[:-1] if item.endswith(b"\r") else item for item in items]
