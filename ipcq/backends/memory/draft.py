"""The next version of a task, written beside it: so a change of many words is one step.

A kill before the commit leaves the task as it was. The commit is the store of its state word, which says
from then on that the draft is the truth about the rest; a kill after it leaves the copying to whoever
rebuilds, and that may be killed and begin again. There is one draft for the whole queue: only the holder of
its lock writes one, and he leaves none behind.
"""

from __future__ import annotations

from .layout import (
    AMENDED,
    D_BLOB,
    D_INLINE,
    DR_INLINE,
    DR_LIMITS,
    DR_PARTS,
    DR_PAYLOAD,
    DR_PLACE,
    DR_RUN_AT,
    DR_TIMEOUT,
    DRAFT,
    GEN_SHIFT,
    HALF_MASK,
    INLINE_WORDS,
    M_EPOCH,
    M_INLINE,
    M_LIMITS,
    M_PARTS,
    M_PAYLOAD,
    M_RESULT,
    M_RUN_AT,
    M_TIMEOUT,
    META_WORDS,
    SLOTS_COMMITTED,
    ST_KILLED,
    STATUS_MASK,
)
from .slots import Slots, generation
from .words import Words

__all__ = ["Draft"]


class Draft:
    """The draft of one queue."""

    def __init__(self, w: Words, slots: Slots) -> None:
        self.w = w
        self.slots = slots
        self.state_at = slots.state_at
        self.meta_at = slots.meta_at

    def begin(self, slot: int) -> None:
        """Start from what the task in ``slot`` is now."""
        w = self.w
        m = self.meta_at + slot * META_WORDS
        w[DRAFT + DR_RUN_AT] = w[m + M_RUN_AT]
        w[DRAFT + DR_LIMITS] = w[m + M_LIMITS]
        w[DRAFT + DR_TIMEOUT] = w[m + M_TIMEOUT]
        w[DRAFT + DR_PAYLOAD] = w[m + M_PAYLOAD]
        w[DRAFT + DR_PARTS] = w[m + M_PARTS]
        for n in range(INLINE_WORDS):
            w[DRAFT + DR_INLINE + n] = w[m + M_INLINE + n]

    def commit(self, slot: int, word: int) -> None:
        """Make the draft, with ``word`` as the state, the truth about ``slot``."""
        self.w[DRAFT + DR_PLACE] = generation(word) << GEN_SHIFT | slot + 1
        self.slots.commit(slot, word | AMENDED)

    def adopt(self, slot: int) -> None:
        """Copy the draft, which was committed, into its slot.

        Who reads the slot without the lock sees that it changes: the state word says so until the end, and
        the epoch is another one at the beginning and at the end.
        """
        w = self.w
        m = self.meta_at + slot * META_WORDS
        self._age(slot, m)
        w[m + M_RUN_AT] = w[DRAFT + DR_RUN_AT]
        w[m + M_LIMITS] = w[DRAFT + DR_LIMITS]
        w[m + M_TIMEOUT] = w[DRAFT + DR_TIMEOUT]
        w[m + M_PARTS] = w[DRAFT + DR_PARTS]
        w[m + M_PAYLOAD] = w[DRAFT + DR_PAYLOAD]
        if w[DRAFT + DR_PAYLOAD] & 3 == D_INLINE:
            for n in range(INLINE_WORDS):
                w[m + M_INLINE + n] = w[DRAFT + DR_INLINE + n]
        self._age(slot, m)
        w[self.state_at + slot] = w[self.state_at + slot] & ~AMENDED
        w[DRAFT + DR_PLACE] = 0

    def _age(self, slot: int, m: int) -> None:
        """A new epoch: no old lease fits. But an error in a file has the epoch in its name."""
        w = self.w
        if w[self.state_at + slot] & STATUS_MASK != ST_KILLED or w[m + M_RESULT] & 3 != D_BLOB:
            w[m + M_EPOCH] = w[m + M_EPOCH] + 1

    def finish(self) -> None:
        """Copy a draft that was committed by who died then; forget any other."""
        w = self.w
        place = w[DRAFT + DR_PLACE]
        at = place & HALF_MASK
        if at and at <= w[SLOTS_COMMITTED]:
            word = w[self.state_at + at - 1]
            if word & AMENDED and generation(word) == place >> GEN_SHIFT:
                self.adopt(at - 1)
        w[DRAFT + DR_PLACE] = 0
