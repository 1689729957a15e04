"""Large pieces of memory beside an encoded value: what they hold is neither encoded nor copied by decoding.

::

    0xC1 version 0 0 | count: 4 bytes | size of the value: 8 bytes | size of each buffer: 8 bytes each
    the value
    each buffer, at the next multiple of 64 bytes

All numbers are little-endian. No msgpack value and no pickle begins with 0xC1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct, error

__all__ = ["Pieces", "has_buffers", "join", "pieces", "split"]

_MAGIC = b"\xc1"
_HEAD = Struct("<cBHIQ")
_VERSION = 1
LARGE = 1 << 20  # bytes that are worth not being copied once more
_ALIGN = 64  # bytes: a cache line, and more than any number needs; a mapped payload begins at a page


def has_buffers(data: bytes | memoryview) -> bool:
    """Whether there are buffers beside the value."""
    return data[:1] == _MAGIC


class Pieces:
    """A payload in pieces that were not copied together: whoever stores it writes one behind the other."""

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self.parts = parts
        self._length = sum(map(len, parts))

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)

    def __repr__(self) -> str:
        return f"<Pieces [{len(self.parts)} of {self._length} bytes]>"


def pieces(value: bytes, buffers: Sequence[memoryview]) -> bytes | Pieces:
    """A value and its buffers as one payload, in pieces if it is large."""
    sizes = [buffer.nbytes for buffer in buffers]
    head = _HEAD.pack(_MAGIC, _VERSION, 0, len(sizes), len(value)) + Struct(f"<{len(sizes)}Q").pack(*sizes)
    parts: list[bytes | memoryview] = [head, value]
    end = len(head) + len(value)
    for start, buffer in zip(_starts(end, sizes), buffers, strict=True):
        parts += [bytes(start - end), buffer.cast("B")]
        end = start + buffer.nbytes
    return Pieces(parts) if end >= LARGE else b"".join(parts)


def join(value: bytes, buffers: Sequence[memoryview]) -> bytes:
    """A value and its buffers as one payload."""
    return bytes(pieces(value, buffers))


def split(data: bytes | memoryview) -> tuple[memoryview, list[memoryview]]:
    """The value and its buffers, which lie in ``data`` and are read-only.

    Raises:
        ValueError: it is not what `join` made.
    """
    view = memoryview(data).toreadonly()
    try:
        _, version, _, count, size = _HEAD.unpack_from(view)
        sizes = Struct(f"<{count}Q").unpack_from(view, _HEAD.size) if count <= len(view) // 8 else None
    except error:
        sizes = None
    if sizes is None or version != _VERSION:
        raise ValueError("what should tell where the buffers are is damaged")
    at = _HEAD.size + 8 * count
    starts = list(_starts(at + size, sizes))
    if len(view) != (starts[-1] + sizes[-1] if sizes else at + size):
        raise ValueError(f"{len(view)} bytes are not as many as its buffers need")
    return view[at : at + size], [view[a : a + n] for a, n in zip(starts, sizes, strict=True)]


def _starts(end: int, sizes: Sequence[int]) -> Iterator[int]:
    for size in sizes:
        start = -(-end // _ALIGN) * _ALIGN
        yield start
        end = start + size
