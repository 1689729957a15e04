"""Tasks that can be taken now: one list for each priority level, and a bitmap of those in use."""

from __future__ import annotations

from .chains import Chains
from .layout import L_LEVEL_SHIFT, LEVEL_COUNT, LEVELS, M_LIMITS, M_SEQ, META_WORDS, READY
from .machine import highest_bit
from .words import Words

__all__ = ["Ready"]


class Ready:
    """The ready lists, each in the order of acceptance."""

    def __init__(self, w: Words, meta_at: int, chains: Chains) -> None:
        self.w = w
        self.meta_at = meta_at
        self.chains = chains

    def _level(self, slot: int) -> int:
        return self.w[self.meta_at + slot * META_WORDS + M_LIMITS] >> L_LEVEL_SHIFT & (LEVEL_COUNT - 1)

    def append(self, slot: int) -> None:
        """Put ``slot`` behind all others of its level."""
        level = self._level(slot)
        self.chains.append(READY + 2 * level, slot)
        self.w[LEVELS] |= 1 << level

    def put_back(self, slot: int) -> None:
        """Put ``slot`` at its old place, by its sequence number; looking from the end that is nearer."""
        level = self._level(slot)
        head = READY + 2 * level
        if self._is_late(head, slot):
            self.chains.insert_last(head, slot, M_SEQ)
        else:
            self.chains.insert(head, slot, M_SEQ)
        self.w[LEVELS] |= 1 << level

    def _is_late(self, head: int, slot: int) -> bool:
        """Whether ``slot`` was accepted nearer to the last than to the first of the list at ``head``."""
        w = self.w
        if not w[head]:
            return False
        first = w[self.meta_at + (w[head] - 1) * META_WORDS + M_SEQ]
        last = w[self.meta_at + (w[head + 1] - 1) * META_WORDS + M_SEQ]
        return w[self.meta_at + slot * META_WORDS + M_SEQ] > first // 2 + last // 2

    def first(self) -> int:
        """The next task to be taken, as slot + 1; 0 when there is none."""
        levels = self.w[LEVELS] & (1 << LEVEL_COUNT) - 1
        return self.w[READY + 2 * highest_bit(levels)] if levels else 0

    def remove(self, slot: int) -> None:
        """Take ``slot``, which is ready, out of its list."""
        level = self._level(slot)
        self.chains.remove(READY + 2 * level, slot)
        if not self.w[READY + 2 * level]:
            self.w[LEVELS] &= ~(1 << level)

    def sort(self) -> None:
        """Order all lists by sequence number, after a rebuild filled them as they came."""
        for level in range(LEVEL_COUNT):
            if self.w[READY + 2 * level]:
                self.chains.sort(READY + 2 * level, M_SEQ)
