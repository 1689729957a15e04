"""Doubly linked lists of slots, linked through the slots' own metadata.

A list is two words, head and tail; all links hold slot + 1, 0 for none. Each slot is in one list
at the most. Lists are derived: a kill in the middle of any of these is repaired by a rebuild.
"""

from __future__ import annotations

from .layout import M_NEXT, M_PREV, META_WORDS
from .words import Words

__all__ = ["Chains"]


class Chains:
    """The lists of one queue."""

    def __init__(self, w: Words, meta_at: int, capacity: int) -> None:
        self.w = w
        self.meta_at = meta_at
        self.capacity = capacity  # no walk is longer, whatever the links say

    def append(self, head: int, slot: int) -> None:
        """Put ``slot`` behind the last of the list at word ``head``."""
        w = self.w
        m = self.meta_at + slot * META_WORDS
        tail = w[head + 1]
        w[m + M_NEXT] = 0
        w[m + M_PREV] = tail
        if tail:
            w[self.meta_at + (tail - 1) * META_WORDS + M_NEXT] = slot + 1
        else:
            w[head] = slot + 1
        w[head + 1] = slot + 1

    def remove(self, head: int, slot: int) -> None:
        """Take ``slot``, which is in it, out of the list at ``head``."""
        w = self.w
        m = self.meta_at + slot * META_WORDS
        following = w[m + M_NEXT]
        previous = w[m + M_PREV]
        if previous:
            w[self.meta_at + (previous - 1) * META_WORDS + M_NEXT] = following
        else:
            w[head] = following
        if following:
            w[self.meta_at + (following - 1) * META_WORDS + M_PREV] = previous
        else:
            w[head + 1] = previous

    def insert(self, head: int, slot: int, key: int) -> None:
        """Put ``slot`` where its metadata word ``key`` belongs; near the head in all use."""
        w = self.w
        mine = w[self.meta_at + slot * META_WORDS + key]
        after = w[head]
        steps = self.capacity
        while after and steps and w[self.meta_at + (after - 1) * META_WORDS + key] < mine:
            after = w[self.meta_at + (after - 1) * META_WORDS + M_NEXT]
            steps -= 1
        if not after:
            self.append(head, slot)
            return
        m = self.meta_at + slot * META_WORDS
        a = self.meta_at + (after - 1) * META_WORDS
        before = w[a + M_PREV]
        w[m + M_NEXT] = after
        w[m + M_PREV] = before
        w[a + M_PREV] = slot + 1
        if before:
            w[self.meta_at + (before - 1) * META_WORDS + M_NEXT] = slot + 1
        else:
            w[head] = slot + 1

    def insert_last(self, head: int, slot: int, key: int) -> None:
        """As `insert`, looking from the tail: for what belongs near the end."""
        w = self.w
        mine = w[self.meta_at + slot * META_WORDS + key]
        before = w[head + 1]
        steps = self.capacity
        while before and steps and w[self.meta_at + (before - 1) * META_WORDS + key] > mine:
            before = w[self.meta_at + (before - 1) * META_WORDS + M_PREV]
            steps -= 1
        m = self.meta_at + slot * META_WORDS
        following = w[self.meta_at + (before - 1) * META_WORDS + M_NEXT] if before else w[head]
        w[m + M_NEXT] = following
        w[m + M_PREV] = before
        if before:
            w[self.meta_at + (before - 1) * META_WORDS + M_NEXT] = slot + 1
        else:
            w[head] = slot + 1
        if following:
            w[self.meta_at + (following - 1) * META_WORDS + M_PREV] = slot + 1
        else:
            w[head + 1] = slot + 1

    def sort(self, head: int, key: int) -> None:
        """Order the list by metadata word ``key``: a natural merge sort (Knuth 5.2.4, algorithm N).

        Slots are mostly used in turn, so that a list is one or a few ascending runs already and
        one or two passes are enough.
        """
        while self._merge_runs(head, key) > 1:
            pass
        self._relink(head)

    def _merge_runs(self, head: int, key: int) -> int:
        """Merge each pair of neighbouring ascending runs; how many runs there are then."""
        w = self.w
        runs = 0
        rest = w[head]
        last = 0
        while rest:
            a = rest
            b = self._cut_run(a, key)
            rest = self._cut_run(b, key) if b else 0
            while a or b:
                if b and (
                    not a
                    or w[self.meta_at + (b - 1) * META_WORDS + key]
                    < w[self.meta_at + (a - 1) * META_WORDS + key]
                ):
                    taken = b
                    b = w[self.meta_at + (b - 1) * META_WORDS + M_NEXT]
                else:
                    taken = a
                    a = w[self.meta_at + (a - 1) * META_WORDS + M_NEXT]
                if last:
                    w[self.meta_at + (last - 1) * META_WORDS + M_NEXT] = taken
                else:
                    w[head] = taken
                last = taken
            runs += 1
        if last:
            w[self.meta_at + (last - 1) * META_WORDS + M_NEXT] = 0
        return runs

    def _cut_run(self, first: int, key: int) -> int:
        """End the ascending run that begins with ``first``; return what followed it."""
        w = self.w
        last = first
        value = w[self.meta_at + (first - 1) * META_WORDS + key]
        while True:
            m = self.meta_at + (last - 1) * META_WORDS
            following = w[m + M_NEXT]
            if not following:
                return 0
            next_value = w[self.meta_at + (following - 1) * META_WORDS + key]
            if next_value < value:
                w[m + M_NEXT] = 0
                return following
            last = following
            value = next_value

    def _relink(self, head: int) -> None:
        """Set the backward links and the tail from the forward links."""
        w = self.w
        previous = 0
        at = w[head]
        while at:
            m = self.meta_at + (at - 1) * META_WORDS
            w[m + M_PREV] = previous
            previous = at
            at = w[m + M_NEXT]
        w[head + 1] = previous
