"""Opening, closing, destroying; and what pickling, forking and threads make of a handle."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import (
    ConfigMismatch,
    MemoryStorage,
    Queue,
    QueueClosed,
    QueueInUse,
    QueueNotFound,
    Status,
    StorageError,
    TaskId,
)
from ipcq.backends.memory.layout import P_STATE, PART_ACTIVE
from ipcq.backends.memory.leasing import MemoryLease

from .acting import Rot13, fetched, total, until, work, worker
from .children import child, elsewhere

if TYPE_CHECKING:
    from ...conftest import MakeQueue
    from .children import Line

# --- opening and settings ------------------------------------------------------------------------


def test_two_handles_are_one_queue(make_queue: MakeQueue) -> None:
    """Whoever opens the same name sees the same tasks."""
    one, two = make_queue("q"), make_queue("q")
    task_id = one.push(1)
    assert fetched(two, task_id).args == 1
    assert work(two, 1) == [1]
    assert one.wait(task_id, 10).value == 1
    two.close()
    assert one.push(2)


def test_a_queue_outlives_its_handles() -> None:
    """A queue stays, with its tasks, when everybody left it."""
    with MemoryStorage("q", capacity=10) as queue:
        task_id = queue.push("x" * 300_000)
    with MemoryStorage("q", create=False) as queue:
        assert queue.config["capacity"] == 10
        assert fetched(queue, task_id).args == "x" * 300_000
        queue.destroy()


def test_config(make_queue: MakeQueue) -> None:
    """The settings are those the queue was made with, also for who asked for none."""
    made = make_queue("q", capacity=7, arena_bytes=1 << 20, blob_bytes=5, result_ttl=1.5, codec="json")
    wanted = {"capacity": 7, "arena_bytes": 1 << 20, "blob_bytes": 5, "result_ttl": 1.5, "codec": "json"}
    for queue in (made, make_queue("q")):
        assert isinstance(queue.queue, Queue)
        assert wanted.items() <= dict(queue.config).items()
    assert made.config["capacity"] == 7


@pytest.mark.parametrize(
    ("setting", "has", "wish"),
    [
        ("capacity", 7, 8),
        ("arena_bytes", 1 << 20, 2 << 20),
        ("blob_bytes", 5, 6),
        ("result_ttl", 1.5, 2.5),
        ("codec", "json", "raw"),
    ],
)
def test_other_settings(make_queue: MakeQueue, setting: str, has: Any, wish: Any) -> None:
    """Other settings than a queue has are a ConfigMismatch that names the setting and both values."""
    make_queue("q", **{setting: has})
    with pytest.raises(ConfigMismatch) as caught:
        MemoryStorage("q", **{setting: wish})
    for part in (setting, repr(has), repr(wish)):
        assert part in str(caught.value)
    make_queue("q", **{setting: has})


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "ä", "x" * 129, "a b", "..", "a\n", "a\0"])
def test_names(name: str) -> None:
    """A name that no queue may have is a ValueError, and nothing is made."""
    with pytest.raises(ValueError, match="queue name"):
        MemoryStorage(name)
    assert os.listdir(os.environ["IPCQ_DIR"]) == []


@pytest.mark.parametrize(
    "settings", [{"capacity": 0}, {"arena_bytes": -1}, {"result_ttl": 0}, {"blob_bytes": -1}]
)
def test_settings_out_of_bounds(settings: dict[str, Any]) -> None:
    """A setting out of its bounds is a ValueError that names it, and nothing is made."""
    with pytest.raises(ValueError, match=next(iter(settings))):
        MemoryStorage("q", **settings)
    assert os.listdir(os.environ["IPCQ_DIR"]) == []


def test_without_creating() -> None:
    """create=False opens only what exists, and makes nothing."""
    with pytest.raises(QueueNotFound, match="q"):
        MemoryStorage("q", create=False)
    assert not (Path(os.environ["IPCQ_DIR"]) / "q").exists()


def test_repr(queue: MemoryStorage) -> None:
    """The repr shows the queue's state, also when it is closed."""
    queue.push(1)
    assert "queue-0" in repr(queue)
    assert "1 pending" in repr(queue)
    queue.close()
    assert "closed" in repr(queue)
    MemoryStorage("queue-0").destroy()


# --- closing and destroying ----------------------------------------------------------------------

_USES = {
    "push": lambda q: q.push(1),
    "push_bulk": lambda q: q.push_bulk([1]),
    "push_stream": lambda q: q.push_stream([1]),
    "poll": lambda q: next(q.poll("w")),
    "register_worker": lambda q: q.register_worker("w"),
    "wait": lambda q: q.wait(TaskId.new(), 0),
    "wait_for": lambda q: q.wait_for([TaskId.new()]),
    "check_status": lambda q: q.check_status([TaskId.new()]),
    "fetch_by_id": lambda q: q.fetch_by_id(TaskId.new()),
    "list_tasks": lambda q: q.list_tasks(),
    "list_workers": lambda q: q.list_workers(),
    "vacuum": lambda q: q.vacuum(),
    "resume_abandoned": lambda q: q.resume_abandoned(),
}


@pytest.mark.parametrize("use", _USES)
def test_use_after_close(queue: MemoryStorage, use: str) -> None:
    """Every call on a closed handle is QueueClosed and names the queue."""
    queue.push(0)
    queue.close()
    with pytest.raises(QueueClosed, match=queue.queue):
        _USES[use](queue)
    with MemoryStorage(queue.queue) as other:
        assert total(other) == 1
        other.destroy()


@pytest.mark.parametrize("use", _USES)
def test_use_after_destroy(make_queue: MakeQueue, use: str) -> None:
    """Every call of another handle on a destroyed queue is QueueClosed; the name is free again."""
    queue, other = make_queue("q"), make_queue("q")
    other.push(0)
    queue.destroy(force=True)
    with pytest.raises(QueueClosed, match="q"):
        _USES[use](other)
    assert total(make_queue("q")) == 0


def test_closing_twice(queue: MemoryStorage) -> None:
    """Closing twice, or after destroying, does nothing."""
    with queue:
        queue.close()
    queue.close()
    with MemoryStorage(queue.queue) as other:
        other.destroy()


@pytest.mark.parametrize("what", ["queue", "worker"])
def test_closing_in_the_middle_of_another_call(queue: MemoryStorage, what: str) -> None:
    """A signal handler that does so gets an error, and nothing was closed: neither lock nor tasks hang."""
    worker = queue.register_worker("worker")
    closing = queue.close if what == "queue" else worker.close
    with pytest.raises(StorageError, match="signal handler"):
        queue._connection.call(closing)
    queue.push(1)
    assert next(queue.poll(worker)) is not None
    closing()
    assert queue.queue


def test_destroy(make_queue: MakeQueue, private_directory: Path) -> None:
    """destroy() removes the queue with its tasks and files, and closes the handle."""
    queue = make_queue("q")
    queue.push(b"x" * (1 << 20))
    queue.destroy()
    assert not (private_directory / "q").exists()
    with pytest.raises(QueueClosed):
        queue.push(1)
    with pytest.raises(QueueNotFound):
        MemoryStorage("q", create=False)


def test_repr_of_a_destroyed_queue(make_queue: MakeQueue) -> None:
    """The repr of a handle does not fail when its queue is gone, or in a forked child."""
    queue, other = make_queue("q"), make_queue("q")
    with other.register_worker("w"):
        assert "q" in elsewhere(lambda: repr(other))
        queue.destroy(force=True)
        assert "q" in repr(other)


def test_a_closed_handle_stays_closed_in_a_child(make_queue: MakeQueue) -> None:
    """A forked child cannot use a handle that was closed before the fork."""
    make_queue("q")
    queue = make_queue("q")
    queue.close()

    def use() -> object:
        with pytest.raises(QueueClosed):
            queue.push(1)
        return "closed"

    assert elsewhere(use) == "closed"


def test_destroy_while_others_are_attached(make_queue: MakeQueue) -> None:
    """destroy() is refused while another process is attached, and then nothing is lost."""
    queue = make_queue("q")
    task_id = queue.push(1)

    def other(line: Line) -> None:
        with MemoryStorage("q") as mine:
            line.say(total(mine))
            line.hear()

    with child(other) as process:
        assert process.hear() == "1"
        with pytest.raises(QueueInUse, match="q"):
            queue.destroy()
        assert fetched(queue, task_id).args == 1
        queue.destroy(force=True)
    assert total(make_queue("q")) == 0


def test_destroy_while_another_handle_is_attached(make_queue: MakeQueue) -> None:
    """Another handle in the same process counts as attached, too."""
    queue, other = make_queue("q"), make_queue("q")
    with pytest.raises(QueueInUse):
        queue.destroy()
    other.close()
    queue.destroy()


def test_destroy_after_the_other_was_killed(make_queue: MakeQueue) -> None:
    """Who was killed is not attached any more."""
    queue = make_queue("q")

    def other(line: Line) -> None:
        with queue.register_worker("w"):
            line.say("there")
            line.hear()

    with child(other) as process:
        process.hear()
        process.kill()
    queue.destroy()


def test_destroy_wakes_who_waits(make_queue: MakeQueue) -> None:
    """A worker and a producer that wait when the queue is destroyed get QueueClosed."""
    queue, other = make_queue("q", capacity=1), make_queue("q")
    with other.register_worker("w") as lease, ThreadPoolExecutor() as pool:
        stream = other.poll(lease)
        queue.push(1)
        working = pool.submit(list, stream)
        until(lambda: queue.list_workers()[0].running)
        pushing = pool.submit(other.push, 2)
        until(pushing.running)
        queue.destroy(force=True)
        for waiting in (working, pushing):
            with pytest.raises(QueueClosed):
                waiting.result(10)
        stream.close()


# --- pickling, forking, threads ------------------------------------------------------------------


def test_pickling(make_queue: MakeQueue) -> None:
    """An unpickled handle opens the same queue, with the same codec object."""
    queue = make_queue(codec=Rot13())
    task_id = queue.push("hello")
    with pickle.loads(pickle.dumps(queue)) as copy:
        assert fetched(copy, task_id).args == "hello"
        copy.push("more")
    assert total(queue) == 2


def test_pickling_makes_nothing_anew(queue: MemoryStorage) -> None:
    """A handle whose queue is gone when it is unpickled makes no empty queue in its place."""
    data = pickle.dumps(queue)
    queue.destroy()
    try:
        with pickle.loads(data) as copy, pytest.raises((QueueNotFound, QueueClosed)):
            copy.push(1)
    except (QueueNotFound, QueueClosed):
        pass
    assert not (Path(os.environ["IPCQ_DIR"]) / queue.queue).exists()


def _push_from(queue: MemoryStorage) -> None:
    queue.push("from the child")
    queue.close()


@pytest.mark.slow
def test_a_handle_goes_to_a_spawned_process(queue: MemoryStorage) -> None:
    """A handle can be an argument of a process started by spawn."""
    process = multiprocessing.get_context("spawn").Process(target=_push_from, args=(queue,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert queue.list_tasks().items[0].args == "from the child"


def test_a_forked_child_attaches_anew(queue: MemoryStorage) -> None:
    """In a forked child the handle works, as a participant of its own."""
    ids = queue.push_bulk([1, 2])

    def other() -> object:
        seen = work(queue, 1)
        queue.push("theirs")
        queue.close()
        return seen

    assert elsewhere(other) == "[1]"
    assert queue.wait(ids[0], 10).value == 1
    assert work(queue, 2) == [2, "theirs"]


def test_a_childs_end_leaves_the_parents_things(queue: MemoryStorage) -> None:
    """What the parent has stays its own when a forked child that used the handle ends, however it does."""
    queue.push_bulk([1, 2, 3])

    def other(line: Line) -> None:
        line.say(total(queue))
        if line.hear() == "close":
            queue.close()

    with worker(queue, "parent", prefetch=2) as hands:
        running = hands.take()
        for end in ("close", "exit", "kill"):
            with child(other) as process:
                assert process.hear() == "3"
                if end == "kill":
                    process.kill()
                else:
                    process.say(end)
                    assert process.join() == 0
            queue.resume_abandoned()
            assert fetched(queue, running.id).lock_by == "parent"
            assert total(queue, Status.RUNNING) == 1
        hands.lease.finish(running, "done")
        with MemoryStorage(queue.queue) as probe:
            assert [seen.alive for seen in probe.list_workers()] == [True]


def test_a_childs_copy_of_a_lease(queue: MemoryStorage) -> None:
    """A forked child cannot end what its parent runs, and its closing of the copies changes nothing."""
    queue.push_bulk([1, 2])

    def other(line: Line) -> None:
        try:
            hands.lease.finish(task, "from the child")
        except Exception as error:
            line.say(type(error).__name__)
        else:
            line.say("finished")
        hands.stream.close()
        hands.lease.close()
        queue.close()

    with worker(queue) as hands:
        task = hands.take()
        with child(other) as process:
            assert process.hear() in ("LeaseLost", "QueueClosed")
            assert process.join() == 0
        hands.lease.finish(task, "from the parent")
        hands.work(1)
    assert queue.wait(task.id, 10).value == "from the parent"


def test_a_fork_while_threads_work(queue: MemoryStorage) -> None:
    """A child forked while a thread of the parent is busy with the handle can use it."""
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            queue.push(1, keep_result=False)
            queue.check_status([TaskId.new()])

    with ThreadPoolExecutor() as pool:
        running = pool.submit(busy)
        try:
            for _ in range(5):
                with child(lambda line: line.say(total(queue) >= 0)) as process:
                    assert process.hear() == "True"
                    assert process.join() == 0
        finally:
            stop.set()
        running.result(10)


def test_pushing_and_waiting_on_one_object(queue: MemoryStorage) -> None:
    """Threads push and wait for their own tasks on one object while workers run them."""

    def produce(name: int) -> list[Any]:
        return [queue.wait(queue.push([name, n]), 20).value for n in range(30)]

    with ThreadPoolExecutor() as pool:
        producing = [pool.submit(produce, name) for name in range(3)]
        working = [pool.submit(lambda w: work(queue, 45, name=f"w{w}"), w) for w in range(2)]
        for name, future in enumerate(producing):
            assert future.result(30) == [[name, n] for n in range(30)]
        for future in working:
            future.result(30)


def test_closing_under_other_threads(queue: MemoryStorage) -> None:
    """Threads that use a handle while it is closed get QueueClosed, and nothing else."""

    def use(n: int) -> None:
        push_on = iter(lambda: queue.push(n, keep_result=False) and queue.list_tasks(), None)
        with pytest.raises(QueueClosed):
            list(push_on)

    with ThreadPoolExecutor() as pool:
        using = [pool.submit(use, n) for n in range(3)]
        while total(queue) < 20:
            pass
        queue.close()
        for future in using:
            future.result(10)
    with MemoryStorage(queue.queue) as other:
        assert total(other) >= 20
        other.destroy()


def test_registering_under_a_close(make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is registered while another thread closes the handle leaves with it."""
    queue = make_queue("q")
    entered, go_on = threading.Event(), threading.Event()

    def slow(*args: Any) -> MemoryLease:
        lease = MemoryLease(*args)
        entered.set()
        go_on.wait(10)
        return lease

    monkeypatch.setattr("ipcq.backends.memory.storage.MemoryLease", slow)
    with MemoryStorage("q") as storage, ThreadPoolExecutor() as pool:
        registering = pool.submit(storage.register_worker, "w")
        assert entered.wait(10)
        closing = pool.submit(storage.close)
        time.sleep(0.05)
        go_on.set()
        closing.result(10)
        registering.result(10)
        assert queue.list_workers() == []
        with pytest.raises(QueueClosed):
            storage.register_worker("w")


def test_a_row_that_was_lost_is_not_used_any_more(queue: MemoryStorage) -> None:
    """A handle that was taken for dead takes another row; who has its old one now loses nothing."""
    queue.push(1)
    old = queue._me()
    connection = queue._connection
    connection.call(connection.recover.reclaim, old.index, True, 0, 0, 0, 1)
    connection.call(connection.recover.enter, old.index)  # somebody else
    task_id = queue.push("x" * 100_000)
    assert queue._me().index != old.index
    old.close()
    assert connection.words[old.row + P_STATE] == PART_ACTIVE
    assert len(work(queue, 2)) == 2
    assert queue.wait(task_id, 10).value == "x" * 100_000
    connection.call(connection.recover.reclaim, old.index, True, 0, 0, 0, 1)


def test_no_file_stays_open() -> None:
    """Opening and closing many times leaves no descriptor behind."""
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for n in range(20):
        with MemoryStorage("q") as queue:
            queue.push(b"x" * 300_000)
            queue.list_queues()
            with worker(queue):
                pass
            if n == 19:
                assert total(queue) == 20
                queue.destroy()
    del queue
    after = len(os.listdir("/proc/self/fd")) if before else 0
    assert after <= before
