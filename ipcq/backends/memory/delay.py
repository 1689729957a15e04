"""Tasks that are not due yet: a 4-ary heap of slots on (run_at, slot).

Each slot's metadata holds its position, so that any one can be taken out in logarithmic time.
Four children a node: half the levels of a binary heap (LaMarca and Ladner 1996).
"""

from __future__ import annotations

from .layout import HEAP_SIZE, M_PREV, M_RUN_AT, META_WORDS, OP, OP_DAMAGED
from .words import Words

__all__ = ["Delay"]


class Delay:
    """The delay heap of one queue."""

    def __init__(self, w: Words, meta_at: int, heap_at: int, capacity: int) -> None:
        self.w = w
        self.capacity = capacity
        self.meta_at = meta_at
        self.heap_at = heap_at

    def first(self) -> int:
        """The slot that is due first, as slot + 1; 0 when the heap is empty."""
        return self.w[self.heap_at] + 1 if self.w[HEAP_SIZE] else 0

    def add(self, slot: int) -> None:
        """Put ``slot`` in."""
        size = self.w[HEAP_SIZE]
        if size >= self.capacity:
            self.w[OP] = OP_DAMAGED
            return
        self.w[HEAP_SIZE] = size + 1
        self._rise(size, slot)

    def remove(self, slot: int) -> None:
        """Take ``slot``, which is in, out."""
        w = self.w
        at = w[self.meta_at + slot * META_WORDS + M_PREV]
        size = w[HEAP_SIZE] - 1
        if at > size or size >= self.capacity or w[self.heap_at + at] != slot:
            w[OP] = OP_DAMAGED
            return
        w[HEAP_SIZE] = size
        if at == size:
            return
        moved = w[self.heap_at + size]
        if at and self._before(moved, w[self.heap_at + (at - 1) // 4]):
            self._rise(at, moved)
        else:
            self._sink(at, moved)

    def _before(self, a: int, b: int) -> bool:
        w = self.w
        x = w[self.meta_at + a * META_WORDS + M_RUN_AT]
        y = w[self.meta_at + b * META_WORDS + M_RUN_AT]
        return x < y or (x == y and a < b)

    def _place(self, at: int, slot: int) -> None:
        self.w[self.heap_at + at] = slot
        self.w[self.meta_at + slot * META_WORDS + M_PREV] = at

    def _rise(self, at: int, slot: int) -> None:
        while at:
            parent = (at - 1) // 4
            above = self.w[self.heap_at + parent]
            if not self._before(slot, above):
                break
            self._place(at, above)
            at = parent
        self._place(at, slot)

    def _sink(self, at: int, slot: int) -> None:
        w = self.w
        size = w[HEAP_SIZE]
        while True:
            child = 4 * at + 1
            if child >= size:
                break
            least = w[self.heap_at + child]
            for other in range(child + 1, min(child + 4, size)):
                candidate = w[self.heap_at + other]
                if self._before(candidate, least):
                    least = candidate
                    child = other
            if not self._before(least, slot):
                break
            self._place(at, least)
            at = child
        self._place(at, slot)
