"""Figures that a queue keeps as tasks move."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ipcq import ErrorInfo, MemoryStorage, Metrics, QueueNotFound
from ipcq.backends.memory.layout import M_STARTED, METRICS, METRICS_END

from .acting import BOOM, work, worker
from .children import child, elsewhere
from .test_storage_recovery import _kill_a_holder

if TYPE_CHECKING:
    from ...conftest import MakeQueue
    from .children import Line


def _values(queue: MemoryStorage, name: str | None = None) -> dict[str, float]:
    return {figure.title: figure.value for figure in queue.queue_stats(name)}


def _age(queue: MemoryStorage, seconds: float) -> None:
    """Let the run of the task in the first place have begun earlier than it did."""
    at = queue._connection.core.meta_at + M_STARTED
    queue._connection.words[at] -= round(seconds * 1e6)


def test_it_says_so(queue: MemoryStorage) -> None:
    """It fulfils `Metrics`, and lists it."""
    assert isinstance(queue, Metrics)
    assert "Metrics" in queue.capabilities()


def test_what_another_process_did_is_counted(queue: MemoryStorage) -> None:
    """Tasks by status, what ended, and the rate: the same in every process."""
    queue.push_bulk(range(6))
    queue.push(6, run_at=time.time() + 60)

    def run(line: Line) -> None:
        work(queue, 3)
        with worker(queue) as hands:
            hands.lease.fail(hands.take(), BOOM)
        line.say("done")

    with child(run) as process:
        process.hear()
        assert process.join() == 0
    values = _values(queue)
    assert (values["PENDING_JOBS"], values["DONE_JOBS"], values["KILLED_JOBS"], values["TOTAL_JOBS"]) == (
        3,
        3,
        1,
        7,
    )
    assert (values["QUEUE_BACKLOG"], values["SUCCESS_RATE"], values["JOBS_PAST_HOUR"]) == (2, 75.0, 4)
    assert elsewhere(lambda: _values(queue)) == str(values)


def test_totals_outlive_their_tasks(queue: MemoryStorage) -> None:
    """What was removed, or not kept, stays in the totals; a failed run counts though another is owed."""
    queue.push_bulk(range(2), keep_result=False)
    task_id = queue.push(2, max_attempts=2)
    work(queue, 2)
    with worker(queue) as hands:
        hands.lease.fail(hands.take(), BOOM, retry_in=60)
    queue.cancel(task_id)
    queue.vacuum()
    values = _values(queue)
    assert values["TOTAL_JOBS"] == 0
    assert (values["TASKS_DONE"], values["TASKS_KILLED"], values["FAILED_RUNS"]) == (2, 1, 1)


def test_durations_are_those_of_runs(queue: MemoryStorage) -> None:
    """Without the time in the queue, which is told apart; a failed run took its time, too."""
    queue.push(0, max_attempts=2)
    with worker(queue) as hands:
        task = hands.take()
        _age(queue, -5)  # it began five seconds after it was due
        _age(queue, 2 + 5)
        hands.lease.fail(task, ErrorInfo("E", "m"))
        again = hands.take()
        _age(queue, 4)
        hands.lease.finish(again, None)
    values = _values(queue)
    assert values["AVG_JOB_DURATION"] == pytest.approx(3, abs=0.2)
    assert values["P50_RUN_TIME"] == pytest.approx(2, rel=1 / 8)
    assert values["P99_RUN_TIME"] == pytest.approx(4, rel=1 / 8)
    assert values["P99_WAIT_TIME"] < 1


def test_waits_are_from_the_moment_at_which_a_task_is_due(queue: MemoryStorage) -> None:
    """Of a delayed one from its moment, of another from its acceptance, though its moment be long ago."""
    queue.push(0, run_at=1.0)
    connection = queue._connection
    with worker(queue) as hands:
        task = hands.take()
        connection.words[connection.core.meta_at + M_STARTED] += 3_000_000
        hands.lease.finish(task, None)
    assert _values(queue)["P50_WAIT_TIME"] == pytest.approx(3, rel=1 / 8)
    assert _values(queue)["P50_RUN_TIME"] == 0  # a clock that was set back
    found = queue.queue_histograms()
    assert found["WAIT_TIME"].sum == pytest.approx(3, abs=0.5)
    assert dict(found["WAIT_TIME"].buckets)[2.097152] == 0
    assert found["RUN_TIME"].sum == 0


def test_moments(queue: MemoryStorage) -> None:
    """Since when the one that waits longest is due, of any priority, and when the last one came."""
    assert (_values(queue)["OLDEST_PENDING_JOB"], _values(queue)["MOST_RECENT_JOB"]) == (0, 0)
    started = time.time()
    queue.push(0, priority=-3)
    between = time.time()
    queue.push(1, priority=3)
    queue.push(b"x" * 9000, run_at=time.time() + 60)
    values = _values(queue)
    assert started - 0.01 <= values["OLDEST_PENDING_JOB"] <= between
    assert between <= values["MOST_RECENT_JOB"] <= time.time()


def test_what_came_back_from_the_dead(queue: MemoryStorage) -> None:
    """RECOVERED_TASKS, and no run that was measured."""
    queue.push(0)
    _kill_a_holder(queue)
    queue.resume_abandoned()
    assert (_values(queue)["RECOVERED_TASKS"], _values(queue)["TASKS_DONE"]) == (1, 0)


def test_bytes_in_use(queue: MemoryStorage) -> None:
    """Payloads and results of every size, and 0 once they are gone."""
    queue.push(b"x" * 300_000)
    queue.push(b"x" * 9000)
    assert _values(queue)["BYTES_IN_USE"] >= 309_000
    work(queue, 2)
    queue.vacuum()
    assert _values(queue)["BYTES_IN_USE"] == 0


def test_other_queues(make_queue: MakeQueue) -> None:
    """By their name, or all together; one that is not there is an error."""
    one, two = make_queue("one"), make_queue("two")
    one.push_bulk(range(3))
    two.push_bulk(range(4))
    work(two, 1)
    assert _values(one, "two")["DONE_JOBS"] == 1
    together = {figure.title: figure.value for figure in one.global_stats()}
    assert (together["PENDING_JOBS"], together["DONE_JOBS"], together["TOTAL_JOBS"]) == (6, 1, 7)
    with pytest.raises(QueueNotFound):
        one.queue_stats("three")


def test_what_ended_an_hour_ago_is_not_of_the_past_hour(
    queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes are counted for an hour, days for a week."""
    queue.push_bulk(range(2))
    work(queue, 2)
    now = time.time_ns()
    for later, hour, week in ((0, 2, 2), (58 * 60, 2, 2), (61 * 60, 0, 2), (8 * 86_400, 0, 0)):
        monkeypatch.setattr(time, "time_ns", lambda later=later: now + later * 10**9)
        assert _values(queue)["JOBS_PAST_HOUR"] == hour
        assert sum(queue.list_queues()[0].activity) == week


def test_damaged_figures_stop_nobody(queue: MemoryStorage) -> None:
    """Counters that cannot grow any more begin again; tasks go on."""
    words = queue._connection.words
    for at in range(METRICS, METRICS_END):
        words[at] = (1 << 64) - 1
    queue.push_bulk(range(3))
    assert work(queue, 3) == [0, 1, 2]
    assert _values(queue)["TASKS_DONE"] == 3
