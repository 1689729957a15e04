"""How many tasks ended, when, and how long they took: figures that add up, and can be taken away again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Ended", "Figures", "bucket_of", "percentile"]

_STEPS = 8  # buckets within a power of two: none is wider than an eighth of what it begins with
DAY = 86_400_000_000  # microseconds
HOUR = DAY // 24


class Ended(NamedTuple):
    """What a finished task adds; durations in microseconds."""

    status: int
    done: int
    waited: int
    ran: int


def bucket_of(duration: int) -> int:
    """The bucket of a duration: as it is below 8, then eight for each power of two."""
    if duration < _STEPS:
        return max(0, duration)
    shift = duration.bit_length() - 4
    return (shift + 1) * _STEPS + (duration >> shift) - _STEPS


def middle_of(bucket: int) -> float:
    """What stands for the durations in a bucket."""
    if bucket < _STEPS:
        return float(bucket)
    shift = bucket // _STEPS - 1
    return float((_STEPS + bucket % _STEPS << shift) + ((1 << shift) - 1) / 2)


def percentile(histogram: Mapping[int, int], share: float) -> float:
    """The duration that ``share`` of all are not longer than; 0 where there are none."""
    left = share * sum(histogram.values())
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        if left <= 0 and histogram[bucket]:
            return middle_of(bucket)
    return 0.0


class Figures:
    """Sums over finished tasks.

    Attributes:
        ended: how many, by status.
        days: how many, by days since 1970.
        hours: how many, by hours since 1970.
        waits: how many, by bucket of the time from due to started.
        runs: how many, by bucket of the time from started to ended.
        ran: microseconds that all runs took.
        recovered: tasks that were returned when their worker had died.
    """

    __slots__ = ("days", "ended", "hours", "ran", "recovered", "runs", "waits")
    _TABLES = ("ended", "days", "hours", "waits", "runs")
    _SUMS = ("ran", "recovered")

    def __init__(self) -> None:
        self.ended: Counter[int] = Counter()
        self.days: Counter[int] = Counter()
        self.hours: Counter[int] = Counter()
        self.waits: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        self.ran = 0
        self.recovered = 0

    def __repr__(self) -> str:
        return f"<Figures of {sum(self.ended.values())} tasks>"

    def count(self, task: Ended, sign: int = 1) -> None:
        """Add a finished task; take it away with -1."""
        self.ended[task.status] += sign
        self.days[task.done // DAY] += sign
        self.hours[task.done // HOUR] += sign
        if task.ran >= 0:
            self.waits[bucket_of(task.waited)] += sign
            self.runs[bucket_of(task.ran)] += sign
            self.ran += sign * task.ran

    def add(self, other: Figures, sign: int = 1) -> None:
        """Add what is in ``other``; take it away with -1."""
        for name in self._TABLES:
            table = getattr(self, name)
            for key, value in getattr(other, name).items():
                table[key] += sign * value
        for name in self._SUMS:
            setattr(self, name, getattr(self, name) + sign * getattr(other, name))

    def forget(self, now: int) -> None:
        """Drop days and hours that nobody asks about any more."""
        _drop(self.days, now // DAY - 7)
        _drop(self.hours, now // HOUR - 2)

    def as_fields(self) -> dict[str, Any]:
        """As plain values."""
        tables = {name: {str(k): v for k, v in getattr(self, name).items() if v} for name in self._TABLES}
        return {**tables, **{name: getattr(self, name) for name in self._SUMS}}

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Figures:
        """What `as_fields` gave; KeyError, ValueError or TypeError for anything else."""
        self = cls()
        for name in cls._TABLES:
            getattr(self, name).update({int(k): int(v) for k, v in fields[name].items()})
        for name in cls._SUMS:
            setattr(self, name, int(fields[name]))
        return self


def _drop(table: Counter[int], before: int) -> None:
    for key in [key for key in table if key < before]:
        del table[key]
