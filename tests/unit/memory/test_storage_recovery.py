"""What a killed process leaves behind, and what becomes of the tasks that it had."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ipcq import Filter, LeaseLost, MemoryStorage, Status, TaskFailed, TaskId, WorkerDied, WorkerExit
from ipcq.backends.memory import participant
from ipcq.backends.memory.layout import PART_HIGH

from .acting import error_of, fetched, pattern, status, total, work, worker
from .children import Trap, child, die

if TYPE_CHECKING:
    from ...conftest import MakeQueue
    from .children import Line


def _holder(queue: MemoryStorage, name: str = "w", prefetch: int = 1) -> Callable[[Line], object]:
    """What a child does that takes a task and keeps it."""

    def hold(line: Line) -> None:
        with worker(queue, name, prefetch=prefetch) as hands:
            hands.take()
            line.say("has them")
            line.hear()

    return hold


def _kill_a_holder(queue: MemoryStorage, name: str = "w", prefetch: int = 1) -> int:
    """Let a child take tasks, and SIGKILL it; its pid."""
    with child(_holder(queue, name, prefetch)) as process:
        process.hear()
        process.kill()
        return process.pid


def _kill_two_holders(queue: MemoryStorage) -> tuple[int, int]:
    """Let "a" take the first task, then "b" the second, and kill both; their pids."""
    with child(_holder(queue, "a")) as one:
        one.hear()
        with child(_holder(queue, "b")) as two:
            two.hear()
            one.kill()
            return one.pid, two.pid


def test_a_running_task_of_the_dead(queue: MemoryStorage) -> None:
    """A killed worker's running task comes back in front, charged with a death and no attempt."""
    first, _ = queue.push_bulk(["first", "second"])
    _kill_a_holder(queue)
    assert queue.resume_abandoned() == [first]
    task = fetched(queue, first)
    assert (task.status, task.attempts, task.deaths, task.lock_by) == (Status.PENDING, 0, 1, None)
    assert queue.resume_abandoned() == []
    assert work(queue, 2) == ["first", "second"]
    assert (fetched(queue, first).attempts, fetched(queue, first).deaths) == (1, 1)


def test_queued_tasks_of_the_dead(queue: MemoryStorage) -> None:
    """What a killed worker only held comes back at its old place, nothing charged."""
    ids = queue.push_bulk(range(5))
    _kill_a_holder(queue, prefetch=3)
    returned = queue.resume_abandoned()
    assert sorted(returned) == ids[: len(returned)]
    assert [fetched(queue, task_id).deaths for task_id in ids] == [1, 0, 0, 0, 0]
    assert {fetched(queue, task_id).status for task_id in ids} == {Status.PENDING}
    assert work(queue, 5) == list(range(5))


def test_deaths_run_out(queue: MemoryStorage) -> None:
    """A task that kills its worker more often than max_deaths allows is KILLED by WorkerDied."""
    task_id = queue.push(1)
    for deaths in (1, 2):
        _kill_a_holder(queue, f"w{deaths}")
        assert queue.resume_abandoned() == [task_id]
        assert (status(queue, task_id), fetched(queue, task_id).deaths) == (Status.PENDING, deaths)
    pid = _kill_a_holder(queue, "the last")
    queue.resume_abandoned(exits=[WorkerExit(pid, -signal.SIGKILL, 12345678)])
    assert (status(queue, task_id), fetched(queue, task_id).deaths) == (Status.KILLED, 3)
    result = queue.wait(task_id, 10)
    assert error_of(result).type == "WorkerDied"
    for part in (str(pid), "the last", "9"):
        assert part in error_of(result).message
    with pytest.raises(TaskFailed) as caught:
        result.unwrap()
    died = caught.value.__cause__
    assert isinstance(died, WorkerDied)
    assert (died.pid, died.signal, died.worker, died.rss) == (pid, 9, "the last", 12345678)
    assert died.exitcode is None


def test_no_death_allowed(queue: MemoryStorage) -> None:
    """With max_deaths=0 the first death ends the task; unseen, the error still names the process."""
    task_id = queue.push(1, max_deaths=0)
    pid = _kill_a_holder(queue)
    queue.resume_abandoned()
    died = error_of(queue.wait(task_id, 10))
    assert (died.type, died.details["pid"], died.details["worker"]) == ("WorkerDied", pid, "w")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("w" * 24, "w" * 24),
        ("w" * 25, "w" * 24 + "…"),
        ("w" * 23 + "é", "w" * 23 + "…"),
        ("é" * 64, "é" * 12 + "…"),
    ],
)
def test_a_long_name_that_was_cut_says_so(queue: MemoryStorage, name: str, told: str) -> None:
    """Of a dead worker's id a task keeps 24 bytes; it does not look like another's."""
    task_id = queue.push(1, max_deaths=0)
    _kill_a_holder(queue, name)
    queue.resume_abandoned()
    assert error_of(queue.wait(task_id, 10)).details["worker"] == told


def test_a_queued_task_of_no_deaths(queue: MemoryStorage) -> None:
    """A task that was only held does not end though it may not survive a death."""
    queue.push_bulk([1, 2], max_deaths=0)
    _kill_a_holder(queue, prefetch=2)
    queue.resume_abandoned()
    assert work(queue, 1) == [2]


def test_an_exit_code(queue: MemoryStorage) -> None:
    """A worker that left by os._exit is told with its exit code."""
    task_id = queue.push(1, max_deaths=0)

    def leave(line: Line) -> None:
        stream = queue.poll("w")
        assert next(stream)
        os._exit(7)

    with child(leave) as process:
        assert process.join() == 7
        queue.resume_abandoned(exits=[WorkerExit(process.pid, 7)])
    details = error_of(queue.wait(task_id, 10)).details
    assert (details["exitcode"], details["signal"]) == (7, None)


def test_out_of_memory(queue: MemoryStorage) -> None:
    """A worker that the kernel's memory killer ended is told as such."""
    task_id = queue.push(1, max_deaths=0)
    pid = _kill_a_holder(queue)
    queue.resume_abandoned(exits=[WorkerExit(pid, -9, 5 << 30, out_of_memory=True)])
    assert "memory" in error_of(queue.wait(task_id, 10)).message


@pytest.mark.slow
def test_others_notice_by_themselves(queue: MemoryStorage) -> None:
    """A worker that waits returns a dead one's task within 1.5 s, without anybody's call."""
    queue.push(1)
    with worker(queue, "heir") as hands:
        with child(_holder(queue)) as process:
            process.hear()
            process.kill()
        killed = time.monotonic()
        assert hands.take().deaths == 1
        assert time.monotonic() - killed < 1.5


def test_a_waiter_notices_by_itself(queue: MemoryStorage) -> None:
    """Who only waits for a result gets it though the worker died and none is left."""
    task_id = queue.push(1, max_deaths=0)
    with child(_holder(queue)) as process:
        process.hear()
        process.kill()
    assert error_of(queue.wait(task_id, 1.5)).type == "WorkerDied"


def test_each_of_the_dead_has_its_moment(queue: MemoryStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who dies while another's Monitor is waited for is not taken with it: its own may know how it died."""
    first, second = queue.push_bulk([1, 2], max_deaths=0)
    with child(_holder(queue, "a")) as one:
        one.hear()
        with child(_holder(queue, "b")) as two:
            two.hear()
            one.kill()
            monkeypatch.setattr(
                participant, "time", SimpleNamespace(sleep=lambda _: two.kill(), time=time.time)
            )
            MemoryStorage(queue.queue).close()
    assert (status(queue, first), status(queue, second)) == (Status.KILLED, Status.RUNNING)
    queue.resume_abandoned(exits=[WorkerExit(two.pid, -signal.SIGKILL)])
    assert error_of(queue.wait(second, 10)).details["signal"] == signal.SIGKILL


def test_an_exit_takes_nobody_else(queue: MemoryStorage) -> None:
    """A Monitor that saw one worker end does not take another one, whose end it is about to see."""
    first, second = queue.push_bulk([1, 2], max_deaths=0)
    one, two = _kill_two_holders(queue)
    assert queue.resume_abandoned(exits=[WorkerExit(one, -9)]) == []
    assert (status(queue, first), status(queue, second)) == (Status.KILLED, Status.RUNNING)
    queue.resume_abandoned(exits=[WorkerExit(two, 7)])
    assert error_of(queue.wait(second, 10)).details["exitcode"] == 7


def test_an_id_takes_over_nobody_else(queue: MemoryStorage) -> None:
    """Who registers under the id of one dead worker leaves the others to those who know how they died."""
    first, second = queue.push_bulk([1, 2], max_deaths=0)
    _kill_two_holders(queue)
    queue.register_worker("a").close()
    assert (status(queue, first), status(queue, second)) == (Status.KILLED, Status.RUNNING)


def test_who_opens_the_queue_puts_it_in_order(make_queue: MakeQueue) -> None:
    """Opening a queue whose users were all killed returns their tasks."""
    queue = MemoryStorage("q")
    task_id = queue.push(1)
    with child(_holder(queue)) as process:
        process.hear()
        queue.close()
        process.kill()
    again = make_queue("q")
    assert (status(again, task_id), fetched(again, task_id).deaths) == (Status.PENDING, 1)
    assert again.list_workers() == []


def test_the_id_of_the_dead(queue: MemoryStorage) -> None:
    """A restarted worker takes over its predecessor's id at once, and its tasks are returned."""
    queue.push("task")
    _kill_a_holder(queue, "w")
    with worker(queue, "w") as hands:
        task = hands.take()
        assert (task.args, task.deaths, task.lock_by) == ("task", 1, "w")
        (seen,) = queue.list_workers()
        assert (seen.pid, seen.alive) == (os.getpid(), True)


def test_a_dead_worker_in_the_listing(queue: MemoryStorage) -> None:
    """A dead worker is listed as such until it is swept away, and its tasks with it."""
    queue.push(1)
    with child(_holder(queue)) as process:
        process.hear()
        assert [(seen.id, seen.pid, seen.alive) for seen in queue.list_workers()] == [
            ("w", process.pid, True)
        ]
        process.kill()
        assert [seen.alive for seen in queue.list_workers()] in ([False], [])
    queue.resume_abandoned()
    assert queue.list_workers() == []
    assert queue.list_tasks(filter=Filter(worker="w")).total == 0


def test_a_stopped_worker_keeps_its_task(queue: MemoryStorage) -> None:
    """A worker that is stopped is not dead: its task stays its own."""
    task_id = queue.push(1)

    def run(line: Line) -> None:
        with worker(queue, "w") as hands:
            task = hands.take()
            line.say("has it")
            line.hear()
            hands.lease.finish(task, "after all")
            line.say("done")

    with child(run) as process:
        process.hear()
        process.stop()
        assert queue.resume_abandoned() == []
        assert status(queue, task_id) == Status.RUNNING
        os.kill(process.pid, signal.SIGCONT)
        process.say("go on")
        assert process.hear() == "done"
    assert queue.wait(task_id, 10).value == "after all"


def test_the_heir_of_a_lease(queue: MemoryStorage) -> None:
    """The lease of a dead worker's run is void when another ran the task."""
    queue.push(1)
    with child(_holder(queue, "dead")) as process:
        process.hear()
        old = queue.list_tasks().items[0]
        process.kill()
    queue.resume_abandoned()
    with worker(queue, "heir") as hands:
        new = hands.take()
        with pytest.raises(LeaseLost):
            hands.lease.finish(old, "old")
        hands.lease.finish(new, "new")


@pytest.mark.parametrize("size", [10, 20_000, 1 << 20])
def test_a_producer_killed_between_pushes(queue: MemoryStorage, size: int) -> None:
    """What a producer pushed before it was killed is whole and runs; nothing else appears."""

    def produce(line: Line) -> None:
        for n in range(3):
            queue.push([n, pattern(size)])
        line.say("pushed")
        line.hear()

    with child(produce) as process:
        process.hear()
        process.kill()
    assert work(queue, 3) == [[n, pattern(size)] for n in range(3)]
    assert total(queue) == 3


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("size", [20_000, 1 << 20])
def test_a_producer_killed_in_a_push(make_queue: MakeQueue, size: int, number: int) -> None:
    """A producer killed while it stores a payload leaves the task whole or not at all, and all the room."""
    queue = make_queue(capacity=2, codec="raw")
    data = pattern(size)

    def produce(line: Line) -> None:
        line.say(total(queue))
        Trap(number, die, after=True).around(type(queue._connection._guard), "run")
        queue.push(data)
        queue.push(data)

    with child(produce) as process:
        process.hear()
        assert process.join() == -signal.SIGKILL
    queue.resume_abandoned()
    there = total(queue)
    assert there <= 2
    for task in queue.list_tasks().items:
        assert bytes(task.args) == data
    queue.push_bulk([data[::-1]] * (2 - there), block=False)
    seen = [bytes(args) for args in work(queue, 2, lambda _: b"")]
    assert seen == [data] * there + [data[::-1]] * (2 - there)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("size", [10, 20_000, 1 << 20])
def test_a_worker_killed_in_a_finish(queue: MemoryStorage, size: int, number: int) -> None:
    """A worker killed while it stores a result leaves the task DONE with it, or to be run again."""
    task_id = queue.push("args")

    def finish(line: Line) -> None:
        from ipcq.backends.memory import lock

        with worker(queue, "w") as hands:
            task = hands.take()
            line.say("has it")
            Trap(number, die, after=True).around(lock.Guard, "run")
            hands.lease.finish(task, pattern(size))
            queue.check_status([task_id])
            queue.push("one")
            queue.push("two")
            queue.push("three")
            die()

    with child(finish) as process:
        process.hear()
        assert process.join() == -signal.SIGKILL
    queue.resume_abandoned()
    if status(queue, task_id) == Status.PENDING:
        assert fetched(queue, task_id).deaths == 1
        work(queue, 1, lambda _: pattern(size))
    assert queue.wait(task_id, 10).value == pattern(size)


def test_a_producer_killed_at_random(make_queue: MakeQueue, private_directory: Path) -> None:
    """A producer killed in the middle of large pushes leaves only whole tasks and no stray file."""
    queue = make_queue(codec="raw", capacity=1000)
    data = pattern(1 << 20)

    def produce(line: Line) -> None:
        for n in range(1000):
            queue.push(data, id=TaskId(n + 1), keep_result=False)
            line.say(n)

    for rounds in range(5):
        with child(produce) as process:
            for _ in range(rounds):
                process.hear()
            process.kill()
        queue.resume_abandoned()
        stored = total(queue)
        assert stored >= rounds
        assert [bytes(args) for args in work(queue, stored, lambda _: b"")] == [data] * stored
        assert total(queue) == 0
        blobs = list((private_directory / queue.queue / "blob").iterdir())
        assert len(blobs) <= 32


def test_a_killed_handle_leaves_no_row(queue: MemoryStorage) -> None:
    """Processes that come and are killed use up nothing: the next one has the row."""

    def come(line: Line) -> None:
        with queue.register_worker("w"):
            line.say("there")
            line.hear()

    for _ in range(2):
        with child(come) as process:
            process.hear()
            process.kill()
    assert queue._connection.words[PART_HIGH] <= 2
    queue.resume_abandoned()
    assert queue.list_workers() == []
    queue.push(1)
    assert work(queue, 1) == [1]
