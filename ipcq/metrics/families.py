"""What the figures of a queue are called in Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from ..expose import Histogram, Histograms, Metrics, Statistic
from ..status import Status

__all__ = ["Family", "families"]


@dataclass(frozen=True, slots=True)
class Family:
    """Figures of one name.

    Attributes:
        name: with ``_total`` if it is a counter.
        counter: whether it only grows.
        label: what tells its figures apart beside the queue; empty where there is one.
        samples: figures by the value of that label.
        histogram: in the place of samples.
    """

    name: str
    told: str
    counter: bool = False
    label: str = ""
    samples: dict[str, float] = field(default_factory=dict)
    histogram: Histogram | None = None

    @property
    def kind(self) -> str:
        """What Prometheus calls it."""
        return "histogram" if self.histogram else "counter" if self.counter else "gauge"

    @property
    def buckets(self) -> list[tuple[str, int]]:
        """The histogram's bounds as Prometheus writes them, and their counts."""
        buckets = self.histogram.buckets if self.histogram else ()
        return [("+Inf" if bound == inf else repr(bound), count) for bound, count in buckets]


_STATUSES = {f"{status.name}_JOBS": status.name.lower() for status in Status}
_QUANTILES = {"P50": "0.5", "P95": "0.95", "P99": "0.99"}
_WAITS, _RUNS = "How long after their task was due runs began.", "How long runs took."
_HISTOGRAMS = {
    "WAIT_TIME": ("ipcq_wait_duration_seconds", _WAITS),
    "RUN_TIME": ("ipcq_run_duration_seconds", _RUNS),
}
_SINGLE = {
    "QUEUE_BACKLOG": ("ipcq_backlog_tasks", "Tasks that could run now and wait for a worker."),
    "OLDEST_PENDING_JOB": (
        "ipcq_oldest_due_timestamp_seconds",
        "Since when the task that waits longest is due; 0 where none waits.",
    ),
    "MOST_RECENT_JOB": ("ipcq_last_push_timestamp_seconds", "When the last task was accepted."),
    "BYTES_IN_USE": ("ipcq_bytes", "What payloads and results occupy."),
    "TASKS_DONE": ("ipcq_tasks_done_total", "Tasks that came to DONE."),
    "TASKS_KILLED": ("ipcq_tasks_killed_total", "Tasks that came to KILLED."),
    "FAILED_RUNS": ("ipcq_failed_runs_total", "Runs that ended without a value."),
    "RECOVERED_TASKS": ("ipcq_recovered_tasks_total", "Tasks that were returned from dead workers."),
}


def families(backend: Metrics) -> list[Family]:
    """The figures of a backend's queue, now.

    What Prometheus itself makes of others is left out: sums, averages, rates and shares.

    Raises:
        IpcqError: the queue cannot be read.
    """
    found = _families(backend.queue_stats())
    if isinstance(backend, Histograms):
        found += _histograms(backend.queue_histograms())
    return found


def _families(statistics: Iterable[Statistic]) -> list[Family]:
    values = {each.title: each.value for each in statistics}
    found = [
        Family("ipcq_tasks", "Tasks in each status now.", label="status", samples=_of(values, _STATUSES)),
        *(_single(values, title) for title in _SINGLE),
        _quantiles(values, "WAIT", "ipcq_wait_seconds", _WAITS),
        _quantiles(values, "RUN", "ipcq_run_seconds", _RUNS),
    ]
    return [family for family in found if family.samples]


def _histograms(found: Mapping[str, Histogram]) -> list[Family]:
    return [
        Family(*called, histogram=found[title]) for title, called in _HISTOGRAMS.items() if title in found
    ]


def _single(values: dict[str, float], title: str) -> Family:
    name, told = _SINGLE[title]
    return Family(name, told, name.endswith("_total"), samples=_of(values, {title: ""}))


def _quantiles(values: dict[str, float], what: str, name: str, told: str) -> Family:
    titles = {f"{percent}_{what}_TIME": quantile for percent, quantile in _QUANTILES.items()}
    return Family(name, told, label="quantile", samples=_of(values, titles))


def _of(values: dict[str, float], titles: dict[str, str]) -> dict[str, float]:
    """What there is of these figures: a backend of others may count less."""
    return {label: values[title] for title, label in titles.items() if title in values}
