"""How many tasks ended, when, and how long they ran: sums that add up, some of which can be taken away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..figures import BUCKETS, bucket_of

__all__ = ["Ended", "Sums"]

_DAY = 86_400_000_000  # microseconds
_MINUTE = 60_000_000
_DAYS, _MINUTES = 7, 60  # that anybody asks about
_DONE = 3


class Ended(NamedTuple):
    """What a finished task adds.

    Attributes:
        status: how it ended.
        at: when, in microseconds since 1970.
        waited: microseconds from being due to the start of its last run.
        ran: from there to its end; -1 where no run ended then: it was cancelled, or its worker died.
    """

    status: int
    at: int
    waited: int
    ran: int


class Sums:
    """Sums over tasks that finished, and over runs that ended.

    Attributes:
        done: how many came to DONE.
        killed: how many came to KILLED.
        failures: runs that ended without a value.
        days: how many tasks finished, by days since 1970.
        minutes: how many, by minutes since 1970.
        waits: how many runs began how long after their task was due, by class of durations.
        runs: how many took how long, likewise.
        run_time: microseconds that all of them took.
        wait_time: microseconds that their tasks waited for them.
        recovered: tasks that were returned when their worker had died.
        newest: when the last of these tasks was accepted.
    """

    _TABLES = ("days", "minutes", "waits", "runs")
    _NUMBERS = ("done", "killed", "failures", "run_time", "wait_time", "recovered", "newest")
    __slots__ = _TABLES + _NUMBERS

    def __init__(self) -> None:
        self.days: Counter[int] = Counter()
        self.minutes: Counter[int] = Counter()
        self.waits: Counter[int] = Counter()
        self.runs: Counter[int] = Counter()
        self.done = self.killed = self.failures = self.recovered = self.newest = 0
        self.run_time = self.wait_time = 0

    def __repr__(self) -> str:
        return f"<Sums over {self.done} done, {self.killed} killed>"

    def finished(self, task: Ended, sign: int = 1) -> None:
        """Add a task that finished; take it away with -1."""
        if task.status == _DONE:
            self.done += sign
        else:
            self.killed += sign
        self.days[task.at // _DAY] += sign
        self.minutes[task.at // _MINUTE] += sign
        if task.ran >= 0:
            self.ran(task.waited, task.ran, sign, failed=task.status != _DONE)

    def ran(self, waited: int, ran: int, sign: int = 1, *, failed: bool) -> None:
        """Add a run that ended; take it away with -1."""
        self.waits[bucket_of(max(0, waited))] += sign
        self.runs[bucket_of(ran)] += sign
        self.run_time += sign * ran
        self.wait_time += sign * max(0, waited)
        self.failures += sign * failed

    def add(self, other: Sums) -> None:
        """Add what is in ``other``."""
        for name in self._TABLES:
            getattr(self, name).update(getattr(other, name))
        newest = max(self.newest, other.newest)
        for name in self._NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.newest = newest

    def forget(self, now: int) -> None:
        """Drop days and minutes that nobody asks about any more."""
        _drop(self.days, now // _DAY - _DAYS)
        _drop(self.minutes, now // _MINUTE - _MINUTES)

    def activity(self, now: int) -> tuple[int, ...]:
        """Tasks finished on each of the last seven days (UTC), today last."""
        today = now // _DAY
        return tuple(self.days[day] for day in range(today - _DAYS + 1, today + 1))

    def past_hour(self, now: int) -> int:
        """Tasks finished in this minute and the 59 before."""
        this = now // _MINUTE
        return sum(self.minutes[minute] for minute in range(this - _MINUTES + 1, this + 1))

    def by_class(self, table: Mapping[int, int]) -> list[int]:
        """A table of durations as a list over all classes."""
        return [table.get(bucket, 0) for bucket in range(BUCKETS)]

    def as_fields(self) -> dict[str, Any]:
        """As plain values."""
        tables = {name: {str(k): v for k, v in getattr(self, name).items() if v} for name in self._TABLES}
        return {**tables, **{name: getattr(self, name) for name in self._NUMBERS}}

    @classmethod
    def of_fields(cls, fields: Mapping[str, Any]) -> Sums:
        """What `as_fields` gave; KeyError, ValueError or TypeError for anything else."""
        self = cls()
        for name in cls._TABLES:
            getattr(self, name).update({int(k): int(v) for k, v in fields[name].items()})
        for name in cls._NUMBERS:
            setattr(self, name, int(fields[name]))
        return self


def _drop(table: Counter[int], last: int) -> None:
    for key in [key for key in table if key <= last]:
        del table[key]
