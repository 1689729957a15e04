"""Figures about a queue, as every backend that counts gives them: numbers in, `Statistic` out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, inf
from operator import add

from ..expose import Histogram, Statistic, StatType
from ..status import Status

__all__ = ["BUCKETS", "Figures", "bucket_of", "percentile"]

BUCKETS = 160  # classes of durations; the last one begins with 18 days


@dataclass(frozen=True, slots=True)
class Figures:
    """What a queue counted; of several queues, the sum of theirs.

    Attributes:
        counts: tasks in each status now, in the order of `Status`.
        delayed: how many of them are not due yet.
        done: tasks that came to DONE, ever.
        killed: tasks that came to KILLED, ever; one that is resumed may do so again.
        failures: runs that ended without a value.
        runs: how many runs took how long, by classes of durations: four for each power of two microseconds.
        waits: how many runs began how long after their task was due, likewise.
        run_time: how long all runs took together, in seconds.
        wait_time: how long their tasks waited for them together, in seconds.
        past_hour: tasks that ended in the last hour.
        oldest: since when the task that waits longest is due, in Unix seconds; 0 where none waits.
        newest: when the last task was accepted, likewise.
        recovered: tasks returned from dead workers.
        bytes: what payloads and results occupy.
    """

    counts: Sequence[int]
    delayed: int
    done: int
    killed: int
    failures: int
    runs: Sequence[int]
    waits: Sequence[int]
    run_time: float
    wait_time: float
    past_hour: int
    oldest: float
    newest: float
    recovered: int
    bytes: int

    def __add__(self, other: Figures) -> Figures:
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMS}
        parts = {name: [*map(add, getattr(self, name), getattr(other, name))] for name in _PARTS}
        oldest = [moment for moment in (self.oldest, other.oldest) if moment]
        return replace(
            self,
            **sums,
            **parts,  # type: ignore[arg-type]
            oldest=min(oldest, default=0.0),
            newest=max(self.newest, other.newest),
        )

    def statistics(self) -> list[Statistic]:
        """As a board shows them, the most important ones first."""
        shown = (*self._tasks(), *self._pace(), *self._durations(), *self._rest())
        return [Statistic(title, kind, value, at) for at, (title, kind, value) in enumerate(shown)]

    def histograms(self) -> dict[str, Histogram]:
        """How long runs took, and how long their tasks waited."""
        return {
            "WAIT_TIME": _histogram(self.waits, self.wait_time),
            "RUN_TIME": _histogram(self.runs, self.run_time),
        }

    def _tasks(self) -> Iterable[_Shown]:
        for status in _ORDER:
            yield f"{status.name}_JOBS", StatType.NUMBER, self.counts[status]
        yield "TOTAL_JOBS", StatType.NUMBER, sum(self.counts)
        owed = (self.counts[status] for status in (Status.PENDING, Status.QUEUED, Status.FAILED))
        yield "QUEUE_BACKLOG", StatType.NUMBER, max(0, sum(owed) - self.delayed)

    def _pace(self) -> Iterable[_Shown]:
        ended = self.done + self.killed
        yield "SUCCESS_RATE", StatType.PERCENTAGE, 100 * self.done / ended if ended else 0.0
        yield "JOBS_PAST_HOUR", StatType.NUMBER, self.past_hour
        yield "OLDEST_PENDING_JOB", StatType.TIMESTAMP, self.oldest
        yield "MOST_RECENT_JOB", StatType.TIMESTAMP, self.newest

    def _durations(self) -> Iterable[_Shown]:
        runs = sum(self.runs)
        yield "AVG_JOB_DURATION", StatType.DECIMAL, self.run_time / runs if runs else 0.0
        for name, counts in (("WAIT", self.waits), ("RUN", self.runs)):
            for percent in (50, 95, 99):
                yield f"P{percent}_{name}_TIME", StatType.DECIMAL, percentile(counts, percent)

    def _rest(self) -> Iterable[_Shown]:
        yield "TASKS_DONE", StatType.NUMBER, self.done
        yield "TASKS_KILLED", StatType.NUMBER, self.killed
        yield "FAILED_RUNS", StatType.NUMBER, self.failures
        yield "RECOVERED_TASKS", StatType.NUMBER, self.recovered
        yield "BYTES_IN_USE", StatType.NUMBER, self.bytes


_Shown = tuple[str, StatType, float]
_ORDER = (Status.RUNNING, Status.PENDING, Status.QUEUED, Status.FAILED, Status.KILLED, Status.DONE)
_BOUNDS = [1 << power for power in range(6, 35)]  # microseconds: 64 to about five hours
_PARTS = ("counts", "runs", "waits")
_SUMS = ("delayed", "done", "killed", "failures", "run_time", "wait_time", "past_hour", "recovered", "bytes")


def percentile(counts: Sequence[int], percent: float) -> float:
    """The duration that so many percent do not exceed, in seconds, to an eighth; 0 where none was counted."""
    left = ceil(sum(counts) * percent / 100)
    for bucket, count in enumerate(counts):
        left -= count
        if count and left <= 0:
            return _middle(bucket)
    return 0.0


def _histogram(counts: Sequence[int], total: float) -> Histogram:
    """With a bound wherever a class begins with a power of two."""
    upto = [(power / 1e6, sum(counts[: bucket_of(power)])) for power in _BOUNDS]
    return Histogram((*upto, (inf, sum(counts))), total)


def bucket_of(duration: int) -> int:
    """The class of a duration in microseconds: four for each power of two."""
    if duration < 4:
        return duration
    high = duration.bit_length()
    return min(4 * (high - 2) + (duration >> (high - 3) & 3), BUCKETS - 1)


def _middle(bucket: int) -> float:
    """The middle of a class of durations, in seconds."""
    if bucket < 4:
        return bucket / 1e6
    width = 1 << bucket // 4 - 1
    return ((4 + bucket % 4) * width + (width - 1) / 2) / 1e6
