"""The window between source and output: which items may go in, which lines may come out.

Pure: knows nothing of queues, processes or files.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

__all__ = ["Window"]

_ITEMS = 4096
_BYTES = 64 << 20


class _Place:
    """One item in the window and, once it is settled, its line of output."""

    __slots__ = ("item", "line")

    def __init__(self, item: bytes) -> None:
        self.item = item
        self.line: bytes | None = None


class Window:
    """Holds what was taken from the source and is not yet written, within bounds.

    An item counts with its bytes from `admit` to `settle`; its line counts from then until the
    lines of all items before it are there too. So the memory is bounded in input order as well:
    while the first item of a full window runs, nothing more is taken.

    Args:
        ordered: lines come out in the order of admission; else in that of settling.
        items: how many items it holds.
        size: how many bytes; the last item admitted may exceed it.
    """

    def __init__(self, *, ordered: bool = True, items: int = _ITEMS, size: int = _BYTES) -> None:
        self._ordered = ordered
        self._limit = items
        self._step = max(1, items // 8)  # a full window is refilled in bulk, not one by one
        self._room = size
        self._open: dict[Hashable, _Place] = {}
        self._line_up: deque[_Place] = deque()
        self._held = 0  # settled, waiting for an earlier one

    def __len__(self) -> int:
        """How many items are not settled."""
        return len(self._open)

    def __repr__(self) -> str:
        return f"<Window [{len(self._open)} open, {self._held} held, {self._room} bytes left]>"

    def room(self) -> tuple[int, int]:
        """How many items and how many bytes may be admitted now; (0, 0) when full."""
        free = self._limit - len(self._open) - self._held
        if free < self._step or self._room <= 0:
            return 0, 0
        return free, self._room

    def admit(self, key: Hashable, item: bytes) -> None:
        """Take an item in, known as ``key`` until it is settled."""
        place = self._open[key] = _Place(item)
        self._room -= len(item)
        if self._ordered:
            self._line_up.append(place)

    def item(self, key: Hashable) -> bytes:
        """The item known as ``key``."""
        return self._open[key].item

    def settle(self, key: Hashable, line: bytes) -> list[bytes]:
        """Give the line of an item; return the lines whose turn it is now."""
        place = self._open.pop(key)
        self._room += len(place.item)
        if not self._ordered:
            return [line]
        place.item, place.line = b"", line
        self._held += 1
        self._room -= len(line)
        return self._release()

    def drain(self) -> list[bytes]:
        """Return all lines that wait for an earlier item, in order, and forget every item."""
        lines = [place.line for place in self._line_up if place.line is not None]
        self._room += sum(map(len, lines)) + sum(len(place.item) for place in self._open.values())
        self._open.clear()
        self._line_up.clear()
        self._held = 0
        return lines

    def _release(self) -> list[bytes]:
        lines: list[bytes] = []
        while self._line_up and (line := self._line_up[0].line) is not None:
            self._line_up.popleft()
            lines.append(line)
            self._room += len(line)
        self._held -= len(lines)
        return lines
