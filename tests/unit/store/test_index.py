"""What one process keeps in its memory."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq import Status
from ipcq.backends.figures import BUCKETS, bucket_of, percentile
from ipcq.backends.memory.measure import bucket_of as compiled_bucket_of
from ipcq.backends.store.index import Entry, Index
from ipcq.backends.store.order import Order
from ipcq.backends.store.sums import Ended, Sums

from .records import OWNER, record

DAY, MINUTE = 86_400_000_000, 60_000_000


def _put(index: Index, task_id: int, version: int, **fields: Any) -> None:
    index.put(task_id, Entry.of(record(**fields), version))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20) | st.none()), max_size=200))
def test_order_is_as_a_sorted_list(steps: list[tuple[int, int | None]]) -> None:
    """Whatever is put in, moved and taken out, the first ones are those with the smallest keys."""
    order: Order[tuple[int]] = Order()
    model: dict[int, int] = {}
    for item, key in steps:
        if key is None:
            order.discard(item)
            model.pop(item, None)
        else:
            order.add((key,), item)
            model[item] = key
        wanted = sorted((key, item) for item, key in model.items())
        assert order.peek(3) == [item for _, item in wanted[:3]]
        assert order.first() == (((wanted[0][0],), wanted[0][1]) if wanted else None)
    assert len(order) == len(model)


def test_an_order_forgets_what_was_taken_out() -> None:
    """What nobody takes from the front does not pile up."""
    order: Order[tuple[int]] = Order()
    for n in range(10_000):
        order.add((n,), n)
        order.discard(n)
    assert len(order._heap) < 100
    assert order.pop() is None


def test_higher_priorities_first_then_by_acceptance() -> None:
    """Ready tasks come by priority, then by the version of the write that accepted them."""
    index = Index()
    _put(index, 1, 10)
    _put(index, 2, 11, priority=5)
    _put(index, 3, 12)
    _put(index, 4, 13, seq=3)  # given back: it was accepted before all of these
    assert index.ready.peek(9) == [2, 4, 1, 3]


def test_delayed_tasks_join_behind_the_others() -> None:
    """A task that becomes due stands behind those that were there, whatever was accepted first."""
    index = Index()
    _put(index, 1, 10, delayed=True, run_at=500)
    _put(index, 2, 11)
    index.promote(499, 11)
    assert index.ready.peek(9) == [2]
    index.promote(500, 11)
    assert index.ready.peek(9) == [2, 1]
    assert index.delayed.first() is None


def test_tasks_change_hands() -> None:
    """A task is in one place at a time: ready, somebody's, or finished."""
    index = Index()
    _put(index, 1, 10)
    _put(index, 1, 11, status=Status.RUNNING, owner=OWNER)
    assert (len(index.ready), list(index.owned)) == (0, [OWNER.number])
    _put(index, 1, 12, status=Status.DONE, done=5)
    assert (dict(index.owned), list(index.unfetched)) == ({}, [1])
    _put(index, 1, 13, status=Status.DONE, done=5, fetched=True)
    assert (list(index.unfetched), list(index.fetched)) == ([], [1])
    index.put(1, None)
    assert (index.tasks, index.size, sum(index.counts.values())) == ({}, 0, 0)
    assert index.sums().done == 0


def test_ends_are_told_once() -> None:
    """Whoever listens is told when a task finishes, and when one is removed; not when it is fetched."""
    index, told = Index(), list[int]()
    index.on_end.append(told.append)
    _put(index, 1, 10)
    assert told == []
    _put(index, 1, 11, status=Status.DONE)
    _put(index, 1, 12, status=Status.DONE, fetched=True)
    assert told == [1]
    index.put(1, None)
    assert told == [1, 1]


def test_who_waits_for_itself_is_known() -> None:
    """Of each handle it is counted what it pushed and nobody fetched, and kept no result once done."""
    index = Index()
    _put(index, 1, 10, sender=5)
    _put(index, 2, 11, sender=5, keep=False)
    assert (index.open_of[5], index.done_of[5]) == (1, 0)
    _put(index, 1, 12, sender=5, status=Status.DONE)
    assert (index.open_of[5], index.done_of[5]) == (1, 1)
    _put(index, 1, 13, sender=5, status=Status.DONE, fetched=True)
    assert 5 not in index.open_of


def test_figures_come_from_what_was_kept() -> None:
    """Counts, durations and moments of a queue, in seconds where they are times."""
    index = Index()
    _put(index, 1, 10, created=2_000_000, run_at=2_000_000)
    _put(index, 2, 11, status=Status.DONE, due=1_000_000, started=3_000_000, done=4_000_000)
    _put(index, 3, 12, status=Status.KILLED, done=4_000_000)
    figures = index.figures(now=5_000_000)
    assert list(figures.counts) == [1, 0, 0, 1, 0, 1]
    assert (figures.done, figures.killed, figures.past_hour) == (1, 1, 2)
    assert (figures.oldest, figures.newest, figures.run_time) == (2.0, 2.0, 1.0)
    assert sum(figures.runs) == sum(figures.waits) == 1


# --- sums -----------------------------------------------------------------------------------------


def test_sums_can_be_stored_and_added() -> None:
    """What was stored and read again adds up; what was added can be taken away."""
    sums, more = Sums(), Sums()
    sums.finished(Ended(Status.DONE, DAY, 10, 20))
    more.finished(Ended(Status.KILLED, DAY, 0, -1))
    more.recovered = 3
    sums.add(Sums.of_fields(more.as_fields()))
    assert (sums.done, sums.killed, sums.failures, sums.recovered, sums.run_time) == (1, 1, 0, 3, 20)
    sums.finished(Ended(Status.DONE, DAY, 10, 20), -1)
    assert (sums.done, sums.run_time, sum(sums.runs.values())) == (0, 0, 0)


@pytest.mark.parametrize("fields", [{}, {"days": 1}, {**Sums().as_fields(), "done": "x"}])
def test_other_fields_are_no_sums(fields: dict[str, Any]) -> None:
    """Whatever else is there is an error of those that are expected."""
    with pytest.raises((KeyError, ValueError, TypeError, AttributeError)):
        Sums.of_fields(fields)


def test_days_and_minutes_are_dropped_when_nobody_asks_any_more() -> None:
    """Seven days and sixty minutes are kept, with zeros for those without a task."""
    sums, now = Sums(), 100 * DAY
    for days in (0, 2, 6, 7):
        sums.finished(Ended(Status.DONE, now - days * DAY, 0, 0))
    for minutes in (59, 60):
        sums.finished(Ended(Status.DONE, now - minutes * MINUTE, 0, 0))
    assert sums.past_hour(now) == 2
    assert sums.activity(now) == (1, 0, 0, 0, 1, 2, 1)
    sums.forget(now)
    assert (sorted(sums.days), len(sums.minutes)) == ([94, 98, 99, 100], 2)
    assert sums.activity(now) == (1, 0, 0, 0, 1, 2, 1)


@given(st.integers(0, 1 << 45))
def test_classes_are_those_of_the_compiled_code(duration: int) -> None:
    """Every backend puts a duration into the same class, and a class is an eighth wide at the most."""
    bucket = bucket_of(duration)
    assert bucket == compiled_bucket_of(duration)
    if bucket < BUCKETS - 1:
        middle = percentile([int(n == bucket) for n in range(BUCKETS)], 50) * 1e6
        assert abs(middle - duration) <= duration / 8 + 1
