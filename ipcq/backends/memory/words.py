"""What the algorithms see of shared memory: words, and bytes beside them."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Words"]


class Words(Protocol):
    """An array of unsigned 64-bit words, each loaded and stored in one go.

    In use it is a ``memoryview(...).cast("Q")``: ``struct.pack_into`` zeroes its target first, and
    a reader (or a kill) can meet that zero. Tests put a recording view in its place.
    """

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...
