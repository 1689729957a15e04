"""What is counted as tasks move: durations by class, and what ended by minute and day. Lock held.

These numbers are neither truth nor derived: nothing else tells them, and nothing depends on them. They only
grow, by one at a time, so a kill in a section leaves each of them off by one at the most.
"""

from __future__ import annotations

from .layout import (
    ACTIVITY,
    BUCKETS,
    M_CREATED,
    M_RUN_AT,
    M_STARTED,
    MINUTES,
    RUN_FAILURES,
    RUN_TIME,
    RUN_TIMES,
    ST_DONE,
    TASKS_DONE,
    TASKS_KILLED,
    WAIT_TIME,
    WAIT_TIMES,
)
from .machine import highest_bit
from .words import Words

__all__ = ["Measure", "bucket_of"]

DAY = 86_400_000_000  # microseconds
MINUTE = 60_000_000
LONGEST = 1 << 41  # microseconds, 25 days: what takes longer counts as this; damage may say anything


def bucket_of(duration: int) -> int:
    """The class of a duration in microseconds: four for each power of two."""
    if duration < 4:
        return duration
    high = highest_bit(duration)
    return min(4 * (high - 1) + (duration >> (high - 2) & 3), BUCKETS - 1)


class Measure:
    """The counters of one queue."""

    def __init__(self, w: Words) -> None:
        self.w = w

    def ran(self, m: int, done: bool, now: int) -> None:
        """Count a run that ends, of the task whose metadata is at word ``m``."""
        w = self.w
        started = w[m + M_STARTED]
        duration = self._since(started, now)
        w[RUN_TIME] = w[RUN_TIME] + duration
        self._tally(RUN_TIMES + bucket_of(duration))
        waited = self._since(max(w[m + M_RUN_AT], w[m + M_CREATED]), started)
        w[WAIT_TIME] = w[WAIT_TIME] + waited
        self._tally(WAIT_TIMES + bucket_of(waited))
        if not done:
            self._tally(RUN_FAILURES)

    def finished(self, status: int, now: int) -> None:
        """Count a task that came to DONE or KILLED."""
        w = self.w
        self._tally(TASKS_DONE if status == ST_DONE else TASKS_KILLED)
        day = now // DAY
        at = ACTIVITY + day % 8
        w[at] = w[at] + 1 if w[at] >> 40 == day else day << 40 | 1
        minute = now // MINUTE
        at = MINUTES + minute % 64
        w[at] = w[at] + 1 if w[at] >> 32 == minute else minute << 32 | 1

    def _since(self, start: int, end: int) -> int:
        """How long it took; nothing where the clock was set back."""
        return min(end - start, LONGEST) if end > start else 0

    def _tally(self, at: int) -> None:
        self.w[at] = self.w[at] + 1
