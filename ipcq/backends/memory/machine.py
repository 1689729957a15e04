"""What a processor does in one step or a loop of its own, in Python; compiled, it is machine.pyx.

The only module with two sources: these have no form that is good in both. The last five are for words
that are waited on, which no uncompiled process uses: here they serve the tests that go through its protocol
step by step, in one thread.
"""

from __future__ import annotations

from .words import Words

__all__ = [
    "bytes_at",
    "compare_and_swap",
    "copy_bytes",
    "fence",
    "highest_bit",
    "lowest_bit",
    "pause",
    "sleep_on",
    "wake_all",
    "wake_one",
]


def highest_bit(word: int) -> int:
    """The number of the highest set bit of ``word``, which is not 0."""
    return word.bit_length() - 1


def lowest_bit(word: int) -> int:
    """The number of the lowest set bit of ``word``, which is not 0."""
    return (word & -word).bit_length() - 1


def copy_bytes(target: memoryview, at: int, source: bytes | memoryview, start: int, length: int) -> None:
    """Copy ``length`` bytes; ValueError or IndexError where they are not in both."""
    target[at : at + length] = source[start : start + length]


def bytes_at(source: memoryview, at: int, length: int) -> bytes:
    """A copy of ``length`` bytes, of as many of them as are there."""
    return bytes(source[at : at + length])


def fence() -> None:
    """Let others see all stores before the next load; the interpreter is slower than any store."""


def compare_and_swap(w: Words, at: int, seen: int, value: int) -> bool:
    """Store ``value`` if the word is ``seen``; whether it was. Atomic only when compiled."""
    if w[at] != seen:
        return False
    w[at] = value
    return True


def pause() -> None:
    """Let the other half of this processor's core run for a moment."""


def sleep_on(w: Words, at: int, seen: int, microseconds: int) -> None:
    """Sleep while the low half of the word is that of ``seen``, or until a signal comes."""


def wake_one(w: Words, at: int) -> None:
    """Wake one of those who sleep on the word."""


def wake_all(w: Words, at: int) -> None:
    """Wake all of those who sleep on the word."""
