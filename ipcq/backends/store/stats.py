"""The figures of queues as a board shows them, from what their indexes keep."""

from __future__ import annotations

from collections.abc import Sequence

from ...expose import Statistic, StatType
from ...status import Status
from .figures import DAY, Figures
from .index import Index

__all__ = ["activity", "statistics"]

_STATUSES = (
    ("RUNNING_JOBS", Status.RUNNING),
    ("PENDING_JOBS", Status.PENDING),
    ("QUEUED_JOBS", Status.QUEUED),
    ("FAILED_JOBS", Status.FAILED),
    ("KILLED_JOBS", Status.KILLED),
    ("DONE_JOBS", Status.DONE),
)


def statistics(indexes: Sequence[Index], now: int) -> list[Statistic]:
    """Figures about these queues together, the ones shown first in front."""
    counts = {title: sum(index.counts[status] for index in indexes) for title, status in _STATUSES}
    rows = [(title, StatType.NUMBER, float(count)) for title, count in counts.items()]
    rows.append(("TOTAL_JOBS", StatType.NUMBER, float(sum(counts.values()))))
    return [Statistic(title, kind, value, n) for n, (title, kind, value) in enumerate(rows)]


def activity(figures: Figures, now: int) -> tuple[int, ...]:
    """Tasks finished on each of the last seven days, today last."""
    today = now // DAY
    return tuple(figures.days[day] for day in range(today - 6, today + 1))
