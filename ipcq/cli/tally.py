"""Counts what happened to the items, and says it in one line."""

from __future__ import annotations

from dataclasses import dataclass

from ..result import ErrorInfo
from .items import unpack

__all__ = ["Tally"]

_LONGEST = 160  # characters of the first failure in the summary


@dataclass
class Tally:
    """What happened so far.

    Attributes:
        done: items with a value.
        failed: items with an error.
        example: the first failure, for people.
        earlier: how many of both an interrupted run did.
    """

    done: int = 0
    failed: int = 0
    example: str = ""
    earlier: int = 0

    @property
    def settled(self) -> int:
        """How many items have a line of output."""
        return self.done + self.failed

    def fail(self, item: bytes, error: ErrorInfo) -> None:
        """Count an item with an error."""
        self.failed += 1
        if not self.example:
            text = " ".join(f"{unpack(item)!r}: {error}".split())
            self.example = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."

    def summary(self, seconds: float, *, unfinished: int = 0, interrupted: bool = False) -> str:
        """One line about the whole run.

        Args:
            seconds: how long it took.
            unfinished: items that were taken from the source and have no line.
            interrupted: whether a signal ended it early.
        """
        if not (self.settled or unfinished or interrupted):
            return "there were no items"
        parts = [f"{self.done:,} done", f"{self.failed:,} failed"]
        if self.earlier:
            parts.append(f"{self.earlier:,} of them by earlier runs")
        if unfinished:
            parts.append(f"{unfinished:,} unfinished")
        rate = (self.settled - self.earlier) / seconds if seconds > 0 else 0.0
        parts.append(f"{seconds:.1f} s, {rate:,.0f} items/s" if rate >= 10 else f"{seconds:.1f} s")
        text = ("interrupted: " if interrupted else "") + ", ".join(parts)
        return f"{text}; first failure: {self.example}" if self.example else text
