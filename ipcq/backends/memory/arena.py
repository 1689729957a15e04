"""Room for payloads of medium size: a buddy allocator (Knuth 2.5) over blocks of 256 bytes.

Its map has one word for each block, beside the arena, never inside it. The word of the block that
starts an area is FREE_AREA | order | next + 1 | previous + 1, or USED_AREA | order; the others are 0. All of
it is derived: which areas are in use follows from the descriptors in the slots.
"""

from __future__ import annotations

from .layout import (
    ARENA_COMMITTED,
    ARENA_HEADS,
    BLOCK_BYTES,
    FREE_AREA,
    LINK_MASK,
    NEXT_SHIFT,
    ORDER_SHIFT,
    TOP_ORDER,
    USED_AREA,
)
from .machine import highest_bit, lowest_bit
from .words import Words

__all__ = ["Arena", "order_of"]


def order_of(length: int) -> int:
    """The order of the smallest area that holds ``length`` bytes."""
    return highest_bit((length - 1) // BLOCK_BYTES) + 1 if length > BLOCK_BYTES else 0


class Arena:
    """The allocator of one queue."""

    def __init__(self, w: Words, map_at: int, blocks: int) -> None:
        self.w = w
        self.map_at = map_at
        self.blocks = blocks

    def take(self, order: int) -> int:
        """The first block, + 1, of an area of ``order``; 0 when there is none."""
        w = self.w
        found = order
        while found <= TOP_ORDER and not w[ARENA_HEADS + found]:
            found += 1
        if found > TOP_ORDER:
            return 0
        block = w[ARENA_HEADS + found] - 1
        if not self._is_area(block, found):
            return 0
        self._unlink(block, found)
        while found > order:
            found -= 1
            self._link(block + (1 << found), found)
        w[self.map_at + block] = USED_AREA | order << ORDER_SHIFT
        return block + 1

    def give(self, block: int, order: int) -> None:
        """Return an area, joining it with its buddy as long as that is free too."""
        w = self.w
        if not self._is_area(block, order):
            return
        w[self.map_at + block] = 0
        while order < TOP_ORDER:
            buddy = block ^ 1 << order
            word = w[self.map_at + buddy] if buddy < w[ARENA_COMMITTED] else 0
            if not word & FREE_AREA or word >> ORDER_SHIFT & 31 != order:
                break
            self._unlink(buddy, order)
            block &= buddy
            order += 1
        self._link(block, order)

    def extend(self, blocks: int) -> None:
        """Add ``blocks`` blocks, whose memory is there now, behind those in use."""
        start = self.w[ARENA_COMMITTED]
        self.w[ARENA_COMMITTED] = start + blocks
        self._link_run(start, start + blocks)

    def reset(self) -> None:
        """Forget everything; `claim` the areas in use, then `settle`."""
        w = self.w
        for order in range(TOP_ORDER + 1):
            w[ARENA_HEADS + order] = 0
        for at in range(self.map_at, self.map_at + w[ARENA_COMMITTED]):
            w[at] = 0

    def claim(self, block: int, order: int) -> bool:
        """Mark an area as in use; False if it cannot be one or overlaps another."""
        w = self.w
        if not self._is_area(block, order):
            return False
        size = 1 << order
        for at in range(self.map_at + block, self.map_at + block + size):
            if w[at]:
                return False
        for at in range(self.map_at + block, self.map_at + block + size):
            w[at] = USED_AREA | order << ORDER_SHIFT
        return True

    def disclaim(self, block: int, order: int) -> None:
        """Take a claim back."""
        for at in range(self.map_at + block, self.map_at + block + (1 << order)):
            self.w[at] = 0

    def settle(self) -> None:
        """Make free areas of all that was not claimed."""
        w = self.w
        end = w[ARENA_COMMITTED]
        start = 0
        at = 0
        while at < end:
            word = w[self.map_at + at]
            if not word & USED_AREA:
                at += 1
                continue
            self._link_run(start, at)
            start = at + (1 << (word >> ORDER_SHIFT & 31))
            for inner in range(at + 1, start):
                w[self.map_at + inner] = 0
            at = start
        self._link_run(start, end)

    def _is_area(self, block: int, order: int) -> bool:
        """Whether there can be such an area: only damage leads to others."""
        if order > TOP_ORDER:
            return False
        size = 1 << order
        return not block & size - 1 and block + size <= min(self.w[ARENA_COMMITTED], self.blocks)

    def _link_run(self, start: int, end: int) -> None:
        """Link the largest aligned areas that fill ``start`` to ``end``."""
        while start < end:
            order = min(lowest_bit(start), TOP_ORDER) if start else TOP_ORDER
            while start + (1 << order) > end:
                order -= 1
            self._link(start, order)
            start += 1 << order

    def _link(self, block: int, order: int) -> None:
        w = self.w
        head = w[ARENA_HEADS + order]
        w[self.map_at + block] = FREE_AREA | order << ORDER_SHIFT | head << NEXT_SHIFT
        if head:
            w[self.map_at + head - 1] = w[self.map_at + head - 1] & ~LINK_MASK | block + 1
        w[ARENA_HEADS + order] = block + 1

    def _unlink(self, block: int, order: int) -> None:
        w = self.w
        word = w[self.map_at + block]
        following = word >> NEXT_SHIFT & LINK_MASK
        previous = word & LINK_MASK
        if previous:
            at = self.map_at + previous - 1
            w[at] = w[at] & ~(LINK_MASK << NEXT_SHIFT) | following << NEXT_SHIFT
        else:
            w[ARENA_HEADS + order] = following
        if following:
            at = self.map_at + following - 1
            w[at] = w[at] & ~LINK_MASK | previous
        w[self.map_at + block] = 0
