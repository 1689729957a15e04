"""Figures from numbers: percentiles of classes of durations, and sums over queues."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from ipcq.backends.figures import Figures, percentile
from ipcq.backends.memory.layout import BUCKETS
from ipcq.backends.memory.measure import bucket_of

NOTHING = Figures([0] * 6, 0, 0, 0, 0, [0] * BUCKETS, [0] * BUCKETS, 0.0, 0.0, 0, 0.0, 0.0, 0, 0)


def _values(figures: Figures) -> dict[str, float]:
    return {figure.title: figure.value for figure in figures.statistics()}


def _counted(*durations: int) -> list[int]:
    counts = [0] * BUCKETS
    for duration in durations:
        counts[bucket_of(duration)] += 1
    return counts


@pytest.mark.parametrize("power", range(41))
def test_a_duration_is_known_to_an_eighth(power: int) -> None:
    """Of whatever size: what is told for a class is near every duration in it."""
    for duration in {(1 << power) + (1 << power) * part // 16 for part in range(16)}:
        told = percentile(_counted(duration), 50) * 1e6
        assert abs(told - duration) <= duration / 8


def test_classes_are_in_order_and_have_an_end() -> None:
    """A longer duration is never in a lower class, and there is one for the longest."""
    durations = sorted({0, *(part << power for power in range(60) for part in range(1, 8))})
    classes = [bucket_of(duration) for duration in durations]
    assert classes == sorted(classes)
    assert (classes[0], classes[-1]) == (0, BUCKETS - 1)


def test_percentiles() -> None:
    """The duration that so many do not exceed; of nothing it is 0."""
    counts = _counted(*[1000] * 50, *[10_000] * 45, *[100_000] * 5)
    found = [percentile(counts, percent) for percent in (1, 50, 51, 95, 96, 100)]
    assert found == pytest.approx([0.001, 0.001, 0.01, 0.01, 0.1, 0.1], rel=1 / 8)
    assert percentile([0] * BUCKETS, 99) == 0.0


def test_nothing_was_counted() -> None:
    """Of an empty queue every figure is 0, and nothing is divided by it."""
    assert set(_values(NOTHING).values()) == {0}


def test_the_sum_of_queues() -> None:
    """Numbers add up, the moments are the first and the last, rates and durations are those of all runs."""
    one = replace(NOTHING, counts=[1, 2, 3, 4, 5, 6], delayed=2, done=3, runs=_counted(1000), run_time=0.001)
    two = replace(
        NOTHING, counts=[1] * 6, killed=1, runs=_counted(9000), run_time=0.009, oldest=5.0, newest=7.0
    )
    three = replace(NOTHING, oldest=4.0, newest=6.0)
    values = _values(one + two + three)
    assert values["TOTAL_JOBS"] == 27
    assert values["QUEUE_BACKLOG"] == 1 + 2 + 5 + 3 - 2
    assert values["SUCCESS_RATE"] == 75
    assert values["AVG_JOB_DURATION"] == pytest.approx(0.005)
    assert (values["OLDEST_PENDING_JOB"], values["MOST_RECENT_JOB"]) == (4.0, 7.0)


def test_histograms_have_bounds_at_powers_of_two() -> None:
    """A duration counts from the first bound that is longer; those beyond all are in the last bucket."""
    found = replace(NOTHING, runs=_counted(63, 64, 1 << 20, 1 << 40), run_time=1.5).histograms()["RUN_TIME"]
    counts = dict(found.buckets)
    assert (counts[0.000064], counts[0.000128], counts[1.048576], counts[2.097152]) == (1, 2, 2, 3)
    assert (found.buckets[-2][1], found.buckets[-1], found.sum) == (3, (inf, 4), 1.5)
    assert len(counts) == 30


def test_histograms_add_up() -> None:
    """Of two queues each bucket and each sum is that of both."""
    one = replace(NOTHING, waits=_counted(100, 10_000), wait_time=0.0101)
    two = replace(NOTHING, waits=_counted(10_000), wait_time=0.01)
    found = (one + two).histograms()["WAIT_TIME"]
    assert (dict(found.buckets)[0.000128], found.buckets[-1][1]) == (1, 3)
    assert found.sum == pytest.approx(0.0201)
