"""From a task's id to its slot: a hash table with one list a bucket, linked through metadata."""

from __future__ import annotations

from .layout import M_HASH, M_ID_HI, M_ID_LO, META_WORDS
from .words import Words

__all__ = ["Index"]


class Index:
    """The id table of one queue."""

    def __init__(self, w: Words, meta_at: int, buckets_at: int, buckets: int, capacity: int) -> None:
        self.w = w
        self.meta_at = meta_at
        self.buckets_at = buckets_at
        self.buckets = buckets
        self.capacity = capacity  # no walk is longer, whatever the links say

    def _bucket(self, hi: int, lo: int) -> int:
        # The low half of a UUIDv7 is random; ids made elsewhere may not be, hence the upper half.
        return self.buckets_at + ((lo ^ lo >> 32 ^ hi) & (self.buckets - 1))

    def find(self, hi: int, lo: int) -> int:
        """The slot of the task with this id, as slot + 1; 0 when there is none."""
        w = self.w
        at = w[self._bucket(hi, lo)]
        steps = self.capacity
        while at and steps:
            m = self.meta_at + (at - 1) * META_WORDS
            if w[m + M_ID_LO] == lo and w[m + M_ID_HI] == hi:
                return at
            at = w[m + M_HASH]
            steps -= 1
        return 0

    def add(self, slot: int) -> None:
        """Enter ``slot`` under the id in its metadata."""
        w = self.w
        m = self.meta_at + slot * META_WORDS
        bucket = self._bucket(w[m + M_ID_HI], w[m + M_ID_LO])
        w[m + M_HASH] = w[bucket]
        w[bucket] = slot + 1

    def remove(self, slot: int) -> None:
        """Take ``slot`` out, if it is in."""
        w = self.w
        m = self.meta_at + slot * META_WORDS
        link = self._bucket(w[m + M_ID_HI], w[m + M_ID_LO])
        steps = self.capacity
        while w[link] and steps:
            if w[link] == slot + 1:
                w[link] = w[m + M_HASH]
                return
            link = self.meta_at + (w[link] - 1) * META_WORDS + M_HASH
            steps -= 1
