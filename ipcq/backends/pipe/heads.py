"""How many values a head has and how deep they lie, counted before anything is made of it."""

from __future__ import annotations

__all__ = ["is_within"]

_FIXED = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip
"""Bytes behind the first of nil, booleans and numbers."""
_LONG = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
"""Bytes of the length of texts and bytes."""
_MANY = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
"""Bytes of the count of lists and maps, and values for each."""


def is_within(head: bytes, most: int, deepest: int) -> bool:
    """Whether a head is one value of msgpack of so many inner ones at the most, and not deeper.

    An empty list is one byte there and 56 in memory: it is the number that has to be bounded. This looks at
    each value, and at no byte of texts and bytes, and ends where there are too many.

    Returns:
        False, too, where it is cut off, or has what no head of ours has.
    """
    at, end, count = 0, len(head), 0
    left = [1]  # values that are still to come, on each level
    while left:
        if not left[-1]:
            left.pop()
            continue
        left[-1] -= 1
        count += 1
        if at >= end or count > most or len(left) > deepest:
            return False
        at, inner = _step(head, at)
        if inner < 0:
            return False
        if inner:
            left.append(inner)
    return at <= end


def _step(head: bytes, at: int) -> tuple[int, int]:
    """Where the next value, or the first inner one, begins; and how many inner ones, -1 for no value."""
    first = head[at]
    at += 1
    if first < 0x80 or first >= 0xE0:
        return at, 0
    if first < 0x90:
        return at, (first & 15) * 2
    if first < 0xA0:
        return at, first & 15
    if first < 0xC0:
        return at + (first & 31), 0
    size = _FIXED.get(first)
    if size is not None:
        return at + size, 0
    size = _LONG.get(first)
    if size is not None:
        return at + size + int.from_bytes(head[at : at + size], "big"), 0
    size, each = _MANY.get(first, (0, -1))
    return at + size, int.from_bytes(head[at : at + size], "big") * each if size else each
