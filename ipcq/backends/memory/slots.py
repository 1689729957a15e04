"""Places for tasks: their state words, and the counters that follow every change of status."""

from __future__ import annotations

from .layout import (
    BLOB_LENGTH,
    BLOB_VERSION_SHIFT,
    COUNTS,
    FETCHED_FLAG,
    FREE_HEAD,
    FRESH,
    GEN_MASK,
    GEN_SHIFT,
    M_NEXT,
    META_WORDS,
    OP,
    OP_DAMAGED,
    OWNER_MASK,
    OWNER_SHIFT,
    SLOTS_COMMITTED,
    ST_DONE,
    ST_FREE,
    ST_KILLED,
    STATUS_MASK,
    VERSIONED,
)
from .words import Words

__all__ = ["Slots", "file_epoch", "file_length", "finished", "generation", "owner"]


def generation(word: int) -> int:
    """How often the slot was given to a task."""
    return word >> GEN_SHIFT & GEN_MASK


def owner(word: int) -> int:
    """The participant that has the slot, + 1; 0 for nobody."""
    return (word & OWNER_MASK) >> OWNER_SHIFT


def finished(word: int) -> bool:
    """Whether the task is DONE or KILLED."""
    status = word & STATUS_MASK
    return status == ST_DONE or status == ST_KILLED


def file_length(desc: int) -> int:
    """The bytes of a payload or result that lies in a file."""
    return desc >> 2 & BLOB_LENGTH


def file_epoch(desc: int) -> int:
    """What is in the place of an epoch in the name of a payload's file; 0 where no update brought it."""
    version = desc >> BLOB_VERSION_SHIFT
    return VERSIONED | version if version else 0


class Slots:
    """The state words of one queue and the list of free slots."""

    def __init__(self, w: Words, state_at: int, meta_at: int) -> None:
        self.w = w
        self.state_at = state_at
        self.meta_at = meta_at

    def commit(self, slot: int, word: int) -> None:
        """Make ``word`` the truth about ``slot``: the one store that a kill cannot split."""
        w = self.w
        at = self.state_at + slot
        old = w[at]
        w[at] = word
        if (old ^ word) & STATUS_MASK:
            count = COUNTS + (old & STATUS_MASK)
            w[count] = w[count] - 1
            count = COUNTS + (word & STATUS_MASK)
            w[count] = w[count] + 1

    def reserve(self) -> int:
        """Take a free slot out of the free list, as slot + 1; 0 when none is committed and free."""
        w = self.w
        head = w[FREE_HEAD]
        if head:
            if w[self.state_at + head - 1] & STATUS_MASK != ST_FREE:
                w[OP] = OP_DAMAGED
                return 0
            w[FREE_HEAD] = w[self.meta_at + (head - 1) * META_WORDS + M_NEXT]
            return head
        fresh = w[FRESH]
        if fresh < w[SLOTS_COMMITTED]:
            w[FRESH] = fresh + 1
            return fresh + 1
        return 0

    def release(self, slot: int) -> None:
        """Make ``slot`` free; its generation stays, so that no old lease fits the next task."""
        self.commit(slot, generation(self.w[self.state_at + slot]) << GEN_SHIFT | ST_FREE)
        self.link_free(slot)

    def link_free(self, slot: int) -> None:
        """Put a slot that is free already into the free list."""
        w = self.w
        w[self.meta_at + slot * META_WORDS + M_NEXT] = w[FREE_HEAD]
        w[FREE_HEAD] = slot + 1

    def set_flag(self, slot: int, flag: int) -> None:
        """Commit one more flag."""
        at = self.state_at + slot
        self.w[at] = self.w[at] | flag

    def is_fetched(self, slot: int) -> int:
        """Not 0 when the result was fetched."""
        return self.w[self.state_at + slot] & FETCHED_FLAG
