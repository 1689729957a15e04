"""Several processes on one store: forks, deaths, other machines."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ipcq import (
    CustomBackend,
    ErrorInfo,
    LeaseLost,
    Monitor,
    QueueClosed,
    QueueNotFound,
    Status,
    TaskId,
    WorkerExists,
)
from ipcq.backends.custom import CustomStore
from ipcq.backends.store.keys import task_key, worker_key
from ipcq.backends.store.members import dump_worker, load_worker
from ipcq.backends.store.record import Owner, dump_task, load_task

from ..memory.children import Child, Line, child
from .stores import DictStore, SqliteStore, database

BOOM = ErrorInfo("ValueError", "boom")


@pytest.fixture
def store(private_directory: Path) -> Iterator[SqliteStore]:
    """A store that other processes share."""
    with database(private_directory / "queue.db") as store:
        yield store


@pytest.fixture
def queue(store: SqliteStore) -> Iterator[CustomStore]:
    """An empty queue in it."""
    with CustomBackend(store=store) as queue:
        yield queue


def _holding(queue: CustomStore, prefetch: int = 1) -> Callable[[Line], None]:
    """A child's work: to have tasks, the first RUNNING and the others QUEUED, until it is killed."""

    def work(line: Line) -> None:
        lease = queue.register_worker("w")
        task = next(queue.poll(lease, prefetch=prefetch))
        line.say(task.id if task else "nothing")
        line.hear()

    return work


def _told(process: Child) -> TaskId:
    return TaskId.parse(process.hear())


def _fetched(queue: CustomStore, task_id: TaskId) -> Any:
    task = queue.fetch_by_id(task_id)
    assert task is not None
    return task


def test_what_a_killed_process_had_goes_back(queue: CustomStore) -> None:
    """What ran is charged a death, what was only held nothing; both are at their old places."""
    ids = queue.push_bulk(range(3))
    with child(_holding(queue, 2)) as process:
        assert _told(process) == ids[0]
        assert queue.resume_abandoned() == []
        assert [worker.running for worker in queue.list_workers()] == [1]
        process.kill()
    assert sorted(queue.resume_abandoned()) == ids[:2]
    assert [_fetched(queue, task_id).deaths for task_id in ids] == [1, 0, 0]
    assert queue.list_workers() == []
    with queue.register_worker("w") as lease:
        stream = queue.poll(lease)
        assert [task.args for task in (next(stream), next(stream), next(stream)) if task] == [0, 1, 2]
        stream.close()


def test_a_task_that_kills_its_workers_is_ended(queue: CustomStore) -> None:
    """After the last death that it may have it is KILLED, and tells whose process died."""
    task_id = queue.push("poison", max_deaths=1)
    for _ in range(2):
        with child(_holding(queue)) as process:
            _told(process)
            process.kill()
            pid = process.pid
        queue.resume_abandoned()
    result = queue.wait(task_id, 5)
    assert (result.status, _fetched(queue, task_id).deaths) == (Status.KILLED, 2)
    assert result.error is not None
    assert result.error.details["pid"] == pid


def test_who_pushed_may_die(queue: CustomStore) -> None:
    """What a killed process had pushed is there, as is what failed before."""

    def work(line: Line) -> None:
        line.say(queue.push("mine", max_attempts=2))
        with queue.register_worker("w") as lease:
            stream = queue.poll(lease)
            task = next(stream)
            assert task is not None
            lease.fail(task, BOOM)
            line.say("failed")
            line.hear()

    with child(work) as process:
        task_id = _told(process)
        process.hear()
        process.kill()
    assert queue.check_status([task_id]) == {task_id: Status.FAILED}
    queue.resume_abandoned()
    with queue.register_worker("w") as lease:
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None
        assert (task.args, task.attempts) == ("mine", 1)
        stream.close()


def test_a_stopped_process_keeps_what_it_has(queue: CustomStore) -> None:
    """A worker of this machine that is silent for longer than any limit lives as long as its process."""
    queue.push(1)
    with child(_holding(queue)) as process:
        _told(process)
        process.stop()
        key, store = worker_key("default", "w"), queue._store
        stored = store.get(key)
        assert stored is not None
        assert stored.value is not None
        store.put(key, dump_worker(replace(load_worker(stored.value), beat=0)))
        assert queue.resume_abandoned() == []
        with pytest.raises(WorkerExists, match="'w'"):
            queue.register_worker("w")
        process.kill()


def test_a_dead_workers_id_is_taken_over_at_once(queue: CustomStore) -> None:
    """Whoever has the id of a crashed worker need not wait; its tasks are there for all."""
    task_id = queue.push(1)
    with child(_holding(queue)) as process:
        _told(process)
        process.kill()
    with queue.register_worker("w") as lease:
        assert queue.check_status([task_id]) == {task_id: Status.PENDING}
        assert [worker.alive for worker in queue.list_workers()] == [True]
        assert lease.worker_id == "w"


def test_cancelling_kills_the_process_that_runs_it(queue: CustomStore) -> None:
    """cancel(running=True) ends another process; what that held besides goes back uncharged."""
    running, held = queue.push_bulk(range(2))
    with child(_holding(queue, 2)) as process:
        _told(process)
        assert not queue.cancel(running)
        assert queue.cancel(running, running=True)
        assert process.join() == -9
    queue.resume_abandoned()
    assert queue.check_status([running, held]) == {running: Status.KILLED, held: Status.PENDING}
    assert _fetched(queue, held).deaths == 0


def test_cancelling_what_runs_here_takes_its_lease() -> None:
    """In the same process the run goes on, and what it gives is refused."""
    with CustomBackend(store=DictStore()) as queue, queue.register_worker("w") as lease:
        task_id = queue.push(1)
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None
        assert queue.cancel(task_id, running=True)
        with pytest.raises(LeaseLost):
            lease.finish(task, 1)
        assert queue.wait(task_id, 1).status is Status.KILLED
        stream.close()


# --- other machines -------------------------------------------------------------------------------


def _elsewhere(queue: CustomStore, worker_id: str, silent_for: float) -> None:
    """Have a worker's record say that it is on another machine, and was heard last so long ago."""
    key, store = worker_key(queue.queue, worker_id), queue._store
    stored = store.get(key)
    assert stored is not None
    assert stored.value is not None
    worker = replace(
        load_worker(stored.value), host="elsewhere", beat=round((time.time() - silent_for) * 1e6)
    )
    store.put(key, dump_worker(worker))


def test_a_worker_elsewhere_is_judged_by_its_silence() -> None:
    """It is dead after the time that the queue says; then its lease is void, and it is told so."""
    with CustomBackend(store=DictStore(), dead_after=5) as queue:
        task_id = queue.push(1)
        lease = queue.register_worker("w")
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None
        _elsewhere(queue, "w", 4)
        assert queue.resume_abandoned() == []
        _elsewhere(queue, "w", 6)
        assert queue.resume_abandoned() == [task_id]
        with pytest.raises(LeaseLost):
            lease.finish(task, 1)
        with pytest.raises(QueueClosed, match="taken for dead"):
            next(stream)
        assert queue.check_status([task_id]) == {task_id: Status.PENDING}
        stream.close()


def test_a_worker_beats_often_enough() -> None:
    """Its record is written anew well before others take it for dead."""
    with CustomBackend(store=DictStore(), dead_after=0.01) as queue, queue.register_worker("w") as lease:
        (before,) = queue.list_workers()
        until = time.monotonic() + 5
        while queue.list_workers()[0].last_heartbeat == before.last_heartbeat and time.monotonic() < until:
            lease.heartbeat()
        assert queue.list_workers()[0].last_heartbeat > before.last_heartbeat


def test_a_claim_without_an_owner_is_found() -> None:
    """A task that says it is somebody's whom nobody knows is returned like that of a dead worker."""
    store = DictStore()
    with CustomBackend(store=store) as queue:
        task_id = queue.push(1)
        key = task_key("default", task_id)
        stored = store.get(key)
        assert stored is not None
        assert stored.value is not None
        claimed = replace(
            load_task(stored.value), status=Status.RUNNING, owner=Owner("ghost", 99, 1), epoch=1
        )
        store.put(key, dump_task(claimed))
        assert queue.resume_abandoned() == [task_id]
        assert _fetched(queue, task_id).deaths == 1


# --- forks and pickles ----------------------------------------------------------------------------


def test_a_forked_child_is_a_client_of_its_own(queue: CustomStore) -> None:
    """It uses the handle as its own; leases of its parent are not its to give back."""
    task_id = queue.push(1)
    with queue.register_worker("parent") as lease:
        stream = queue.poll(lease)
        task = next(stream)
        assert task is not None

        def work(line: Line) -> None:
            stream.close()
            lease.close()
            line.say(queue.push(2))
            with pytest.raises(LeaseLost):
                lease.finish(task, "the child's")
            queue.close()
            line.say("closed")

        with child(work) as process:
            assert _fetched(queue, _told(process)).args == 2
            assert process.hear() == "closed"
        lease.finish(task, "the parent's")
        assert queue.wait(task_id, 1).value == "the parent's"
        stream.close()


def test_a_pickled_handle_opens_the_same_queue(queue: CustomStore) -> None:
    """It is the same queue where it is unpickled, which makes none anew."""
    task_id = queue.push(1)
    copy = pickle.loads(pickle.dumps(queue))
    with copy:
        assert copy.check_status([task_id]) == {task_id: Status.PENDING}
        assert copy.config == queue.config
    for connection in copy._store._of.values():
        connection.close()
    with pytest.raises(QueueNotFound):
        CustomBackend(store=DictStore(), create=False)


def test_handles_of_one_process_may_share_a_store() -> None:
    """What one handle writes another one of the same store sees at its next look."""
    store = DictStore()
    with CustomBackend(store=store) as one, CustomBackend(store=store, queue="other") as other:
        with CustomBackend(store=store) as same:
            assert same.check_status([one.push(1)])
        other.push(2)
        assert [info.name for info in one.list_queues()] == ["default", "other"]
        assert one.list_all_tasks().total == 2


# --- chaos ----------------------------------------------------------------------------------------


def double(number: int) -> int:
    """What the workers below do; long enough to be killed in the middle of it."""
    time.sleep(0.002)
    return 2 * number


@pytest.mark.slow
def test_workers_killed_at_random_moments(queue: CustomStore) -> None:
    """Whoever is killed whenever: each task ends once, with its value, and none is lost."""
    dice, kills = random.Random(1), 0
    with Monitor(queue, double, workers=3, prefetch=4):
        ids = queue.push_bulk(range(400), max_deaths=200)
        results, waiting = {}, queue.wait_for(ids, 200)
        while len(waiting):
            results.update({result.task_id: result for result in waiting.ready(dice.random() / 10)})
            working = [worker for worker in queue.list_workers() if worker.running]
            if working and kills < 30:  # a Monitor gives up where none gets to work
                with contextlib.suppress(ProcessLookupError):  # it was killed before
                    os.kill(dice.choice(working).pid, signal.SIGKILL)
                kills += 1
    assert [results[task_id].unwrap() for task_id in ids] == [2 * number for number in range(400)]
    assert queue.list_workers() == []
    print(f"{kills} kills")
