"""Sets of participants as bit words."""

from __future__ import annotations

from .layout import SET_WORDS, WORD_MASK
from .machine import lowest_bit
from .words import Words

__all__ = ["add_to_set", "discard_from_set", "in_set", "pop_from_set"]

# A set is a summary word (bit n: word n is not empty) and SET_WORDS words after it, so that the
# common question "does anybody wait?" costs one load.


def add_to_set(w: Words, at: int, member: int) -> None:
    """Put participant ``member`` into the set at word ``at``."""
    part = member >> 6
    w[at] |= 1 << part  # first: a bit too many there is harmless, a member nobody sees is not
    w[at + 1 + part] |= 1 << (member & 63)


def discard_from_set(w: Words, at: int, member: int) -> None:
    """Take ``member`` out, if it is in."""
    if not w[at]:
        return
    part = member >> 6
    rest = w[at + 1 + part]
    bit = 1 << (member & 63)
    if rest & bit:
        rest ^= bit
        w[at + 1 + part] = rest
        if not rest and w[at] & 1 << part:
            w[at] ^= 1 << part


def in_set(w: Words, at: int, member: int) -> int:
    """1 if ``member`` is in the set."""
    return w[at + 1 + (member >> 6)] >> (member & 63) & 1


def pop_from_set(w: Words, at: int) -> int:
    """Take the lowest member out and return it; -1 when the set is empty."""
    while w[at]:
        part = lowest_bit(w[at])
        if part >= SET_WORDS or not w[at + 1 + part]:
            w[at] &= ~(1 << part) & WORD_MASK  # a summary bit without members
            continue
        member = (part << 6) + lowest_bit(w[at + 1 + part])
        discard_from_set(w, at, member)
        return member
    return -1
