"""What a processor does in one step or a loop of its own, in Python; compiled, it is machine.pyx.

The only module with two sources: `highest_bit` and `copy_bytes` have no form that is good in both.
"""

from __future__ import annotations

__all__ = ["copy_bytes", "highest_bit", "lowest_bit"]


def highest_bit(word: int) -> int:
    """The number of the highest set bit of ``word``, which is not 0."""
    return word.bit_length() - 1


def lowest_bit(word: int) -> int:
    """The number of the lowest set bit of ``word``, which is not 0."""
    return (word & -word).bit_length() - 1


def copy_bytes(target: memoryview, at: int, source: memoryview, start: int, length: int) -> None:
    """Copy ``length`` bytes; ValueError or IndexError where they are not in both."""
    target[at : at + length] = source[start : start + length]
