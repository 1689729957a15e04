"""Backends of plain functions: what is fetched is run, and its end is told once."""

from __future__ import annotations

import asyncio
import pickle
import threading
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from ipcq import (
    Abort,
    Backend,
    CustomBackend,
    ErrorInfo,
    FetchById,
    IllegalTransition,
    LeaseLost,
    Monitor,
    NotSupported,
    PushError,
    QueueClosed,
    QueueFull,
    Status,
    StorageError,
    Task,
    TaskResult,
    TaskSink,
    WaitForCompletion,
    WeakTaskSink,
    Worker,
    WorkerExists,
)
from ipcq.backends.custom import CustomQueue
from ipcq.layer import PutOff
from ipcq.polling import Interval, Notify
from ipcq.worker import Router
from tests.acceptance.command import eventually

LONG = 30.0  # seconds


class Post:
    """Functions over a deque, and what they were told."""

    def __init__(self, *tasks: Any) -> None:
        self.there: deque[Any] = deque(tasks)
        self.ended: list[tuple[Any, str, Any, str]] = []
        self.returned: list[Task[Any]] = []

    def fetch(self) -> Any:
        return self.there.popleft() if self.there else None

    def push(self, task: Task[Any]) -> None:
        self.there.append(task)

    def ack(self, task: Task[Any], result: TaskResult[Any]) -> None:
        self.ended.append(
            (task.args, result.status.name, result.value, result.error.type if result.error else "")
        )

    def backend(self, **options: Any) -> CustomQueue:
        """All of them as a backend."""
        return CustomBackend(
            fetch=self.fetch, push=self.push, ack=self.ack, give_back=self.returned.append, **options
        )


def half(number: int) -> float:
    """Raise for odd numbers."""
    if number % 2:
        raise ValueError("odd")
    return number / 2


def none() -> None:
    """Fetch nothing."""


def ignore(task: Task[Any], result: Any = None) -> None:
    """Take anything in."""


def test_what_is_fetched_is_run_and_its_end_is_told() -> None:
    """Arguments and tasks are run in order; each end is told once, a failure never as done."""
    post = Post(4, Task.of(3), 10)
    Worker("w", post.backend(), half).run(until_empty=True)
    assert post.ended == [(4, "DONE", 2.0, ""), (3, "KILLED", None, "ValueError"), (10, "DONE", 5.0, "")]


def test_a_task_has_as_many_attempts_as_it_says() -> None:
    """A failed run is repeated in this process; only the last end is told, with all its attempts."""
    post = Post(Task.of(1, max_attempts=3), 2)
    runs: list[int] = []

    def fail(number: int) -> float:
        runs.append(number)
        return half(number)

    Worker("w", post.backend(), fail).run(until_empty=True)
    assert sorted(runs) == [1, 1, 1, 2]
    assert sorted(post.ended) == [(1, "KILLED", None, "ValueError"), (2, "DONE", 1.0, "")]


def test_abort_is_the_end() -> None:
    """A handler that raises `Abort` has no further attempt."""

    def refuse(args: Any) -> None:
        raise Abort("no use")

    post = Post(Task.of(1, max_attempts=9))
    Worker("w", post.backend(), refuse).run(until_empty=True)
    assert post.ended == [(1, "KILLED", None, "ipcq.errors.Abort")]


def test_the_end_is_told_outside_the_layers() -> None:
    """A layer that swallows a failure decides what is told; one that fails itself is told, too."""

    def swallow(task: Task[Any], context: Any, call_next: Any) -> Any:
        try:
            return call_next(task, context)
        finally:
            assert not post.ended

    def broken(task: Task[Any], context: Any, call_next: Any) -> Any:
        call_next(task, context)
        raise OSError("layer")

    post = Post(4)
    Worker("w", post.backend(), half, layers=[swallow, broken]).run(until_empty=True)
    assert post.ended == [(4, "KILLED", None, "OSError")]


def test_a_generator_function_gives_many() -> None:
    """An iterator that `fetch` returns is taken from until its end, and then `fetch` is called again."""
    closed: list[str] = []
    batches = deque([[2, 4], [6]])

    def fetch() -> Iterator[int]:
        try:
            yield from batches.popleft() if batches else ()
        finally:
            closed.append("closed")

    post = Post()
    Worker("w", CustomBackend(fetch=fetch, ack=post.ack, poll=Interval(LONG)), half).run(until_empty=True)
    assert [ended[2] for ended in post.ended] == [1.0, 2.0, 3.0]
    assert len(closed) == 3


def test_a_generator_may_have_nothing_now() -> None:
    """A None from an iterator is a fruitless look, and the iterator goes on when it is time."""
    looks: list[Any] = []

    def fetch() -> Iterator[int | None]:
        for row in (None, 2, None, 4):
            looks.append(row)
            yield row

    stream = CustomBackend(fetch=fetch, poll=Interval(0.01)).poll("w")
    found = [next(stream) for _ in range(4)]
    stream.close()
    assert [task and task.args for task in found] == looks == [None, 2, None, 4]


def test_an_iterable_is_shared_by_its_workers() -> None:
    """Each row of a plain iterable is run once, though a second worker comes."""
    post = Post()
    backend = CustomBackend(fetch=[2, 4, 6], ack=post.ack)
    first = backend.poll("a")
    task = next(first)
    assert task is not None
    assert task.args == 2
    Worker("b", backend, half).run(until_empty=True)
    first.close()
    Worker("c", backend, half).run(until_empty=True)
    assert sorted(ended[2] for ended in post.ended) == [1.0, 2.0, 3.0]


def test_a_push_wakes_who_waits() -> None:
    """A task pushed in this process is run at once, however seldom the strategy would look."""
    post = Post()
    backend = post.backend(poll=Notify())

    def stop(number: int) -> int:
        worker.stop()
        return number

    worker = Worker("w", backend, stop)
    thread = threading.Thread(target=worker.run)
    thread.start()
    backend.push(7)
    thread.join(LONG)
    assert not thread.is_alive()
    assert post.ended == [(7, "DONE", 7, "")]


def test_the_strategy_says_when_to_look() -> None:
    """After a fruitless look `fetch` is not called before it is time; a restarted worker looks at once."""
    calls: list[int] = []

    def fetch() -> None:
        calls.append(1)

    backend = CustomBackend(fetch=fetch, poll=Interval(LONG))
    for n in (1, 2):
        stream = backend.poll("w")
        assert next(stream) is None
        stream.wake()
        assert next(stream) is None
        stream.close()
        assert len(calls) == n


def test_what_was_not_run_is_given_back() -> None:
    """A stopped worker's task goes to the function for that, uncharged; without one to the next worker."""
    post = Post(1)
    with post.backend() as backend:
        stream = backend.poll("a")
        assert next(stream) is not None
        stream.close()
        assert [(task.args, task.status, task.attempts) for task in post.returned] == [(1, Status.PENDING, 0)]
        assert next(backend.poll("b")) is None
    plain = CustomBackend(fetch=Post(1).fetch)
    for name in ("a", "b"):
        stream = plain.poll(name)
        task = next(stream)
        assert task is not None
        assert (task.args, task.attempts, task.lock_by) == (1, 0, name)
        stream.close()


def test_what_is_to_be_tried_again_is_given_back_at_the_end() -> None:
    """A task that failed and has attempts left is not lost when its process leaves."""
    post = Post(Task.of(1, max_attempts=2))
    with post.backend() as backend, backend.register_worker("w") as lease:
        task = next(backend.poll(lease))
        assert task is not None
        lease.fail(task, ErrorInfo("ValueError", "odd"), retry_in=LONG)
        assert (post.returned, post.ended) == ([], [])
    assert [(task.args, task.status, task.attempts) for task in post.returned] == [(1, Status.FAILED, 1)]


def test_a_task_is_not_run_before_its_moment() -> None:
    """A task that is not due is held, and what comes behind it is run; then it has its turn."""
    stream = CustomBackend(fetch=Post(Task.of("late", run_at=time.time() + 0.1), "now").fetch).poll("w")
    found = [task.args for task in islice(filter(None, stream), 2)]
    stream.close()
    assert found == ["now", "late"]


def test_a_lost_lease_changes_nothing() -> None:
    """A task that was given back cannot be finished by the worker that had it."""
    post = Post(1)
    backend = post.backend()
    with backend.register_worker("a") as lease:
        task = next(backend.poll(lease))
        assert task is not None
        held = task.lease
        assert lease.give_back(task)
        assert not lease.give_back(task)
        assert post.returned == [task]
        task.lease = held
        with pytest.raises(LeaseLost):
            lease.finish(task, 1)
    assert post.ended == []


def test_nothing_is_put_off() -> None:
    """There is no place for what is not due: a task that is to be put off has failed once, if it may."""

    def later(task: Task[Any], context: Any, call_next: Any) -> Any:
        if not task.attempts:
            raise PutOff(1e-9, "not yet")
        return call_next(task, context)

    post = Post(Task.of(1, max_attempts=2))
    Worker("w", post.backend(), lambda number: number, layers=[later]).run(until_empty=True)
    assert post.ended == [(1, "DONE", 1, "")]


def test_an_end_that_nobody_takes_is_not_lost() -> None:
    """Where `ack` raises, the worker ends with a StorageError, and the task is run again, not failed."""
    told: list[Status] = []

    def ack(task: Task[Any], result: TaskResult[Any]) -> None:
        told.append(result.status)
        if len(told) == 1:
            raise OSError("disk")

    backend = CustomBackend(fetch=Post(4).fetch, ack=ack)
    with pytest.raises(StorageError, match=r"the function for ack= raised OSError: disk"):
        Worker("w", backend, half).run(until_empty=True)
    Worker("w", backend, half).run(until_empty=True)
    assert told == [Status.DONE, Status.DONE]


def test_what_fetch_raises_is_a_storage_error() -> None:
    """The error names the queue and the function, and has the original as its cause."""

    def fetch() -> None:
        raise ConnectionError("gone")

    with pytest.raises(StorageError, match="queue 'mail': the function for fetch= raised") as caught:
        Worker("w", CustomBackend(fetch=fetch, queue="mail"), half).run(until_empty=True)
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_finished_task_is_not_run_again() -> None:
    """A source that hands out what is DONE is told so, by the table of transitions."""
    backend = CustomBackend(fetch=lambda: Task.of(1, status=Status.DONE))
    with pytest.raises(IllegalTransition):
        Worker("w", backend, half).run(until_empty=True)


def test_pushing() -> None:
    """All ways to push call the function with a task that has its parts, and return its id."""
    post = Post()
    backend = post.backend(queue="mail")
    ids = [backend.push(1, priority=2, max_attempts=3), *backend.push_bulk([2, 3])]
    assert backend.push_stream(iter(range(3)), batch=2) == 3
    ids.append(backend.push_task(Task.of(4)))
    assert [task.id for task in post.there if task.args in ids or task.id in ids] == ids
    assert (post.there[0].priority, post.there[0].max_attempts, post.there[0].queue) == (2, 3, "mail")


def test_a_refused_push_tells_what_was_stored() -> None:
    """An error of the function is a PushError, a QueueFull stays one; both know what came before."""
    stored: list[Any] = []

    def push(task: Task[Any]) -> None:
        if task.args > 1:
            raise {2: OSError("disk"), 3: QueueFull("full")}[task.args]
        stored.append(task.id)

    backend = CustomBackend(push=push)
    with pytest.raises(PushError, match=r"push= raised OSError: disk") as refused:
        backend.push_bulk([0, 1, 2])
    with pytest.raises(QueueFull) as full:
        backend.push_bulk([1, 3])
    assert [*refused.value.accepted, *full.value.accepted] == stored
    with pytest.raises(PushError, match="as PENDING without attempts only"):
        backend.push_task(Task.of(0, status=Status.DONE))
    with pytest.raises(ValueError, match="priority"):
        backend.push(0, priority=100)


def test_it_says_what_it_can_do() -> None:
    """Each pair of functions has its capabilities, for `isinstance` too."""
    fetching, pushing, both = (
        CustomBackend(fetch=none),
        CustomBackend(push=ignore),
        CustomBackend(fetch=none, push=ignore),
    )
    assert fetching.capabilities() == {"Backend", "ConfigExt", "RegisterWorker"}
    assert pushing.capabilities() == {"ConfigExt", "TaskSink", "WeakTaskSink"}
    assert both.capabilities() == fetching.capabilities() | pushing.capabilities()
    assert [isinstance(each, Backend) for each in (fetching, pushing, both)] == [True, False, True]
    assert [isinstance(each, TaskSink) for each in (fetching, pushing, both)] == [False, True, True]
    assert isinstance(both, WeakTaskSink)
    assert not isinstance(both, (FetchById, WaitForCompletion))


@pytest.mark.parametrize(
    ("call", "capability"),
    [
        (lambda it: it.push(1), "TaskSink"),
        (lambda it: it.weak(), "WeakTaskSink"),
        (lambda it: it.fetch_by_id("x"), "FetchById"),
        (lambda it: it.wait("x"), "WaitForCompletion"),
        (lambda it: it.cancel("x"), "Cancel"),
        (lambda it: it.vacuum(), "Vacuum"),
        (lambda it: it.queue_stats(), "Metrics"),
        (lambda it: it.queue_histograms(), "Histograms"),
        (lambda it: it.list_tasks(), "ListTasks"),
        (lambda it: it.resume_abandoned(), "ResumeAbandoned"),
    ],
)
def test_what_it_cannot_is_refused(call: Any, capability: str) -> None:
    """Every other call raises NotSupported, which names the capability and the backend."""
    with pytest.raises(
        NotSupported, match=rf"<\w+ 'mail' of fetch=none .*> does not support {capability};"
    ) as caught:
        call(CustomBackend(fetch=none, queue="mail"))
    assert caught.value.capability == capability
    with pytest.raises(AttributeError, match="no attribute 'wiat'"):
        _ = CustomBackend(fetch=none).wiat  # type: ignore[attr-defined]


def test_types_are_routed() -> None:
    """The tag of a type travels with the task through the functions, too."""
    post = Post()
    backend = post.backend()
    backend.weak().push(8)
    backend.weak().push("x")
    Worker("w", backend, Router({int: half})).run(until_empty=True)
    assert post.ended == [(8, "DONE", 4.0, ""), ("x", "KILLED", None, "ipcq.errors.Abort")]


def test_a_name_is_unique_while_its_worker_lives() -> None:
    """Two workers of one object cannot have the same name at the same time."""
    backend = CustomBackend(fetch=none)
    with backend.register_worker("w"), pytest.raises(WorkerExists):
        backend.register_worker("w")
    backend.register_worker("w").close()
    backend.close()
    with pytest.raises(QueueClosed):
        backend.register_worker("w")


def test_it_can_be_sent_to_another_process() -> None:
    """With functions of the top level it can be pickled, so a Monitor's workers can use it."""
    backend = pickle.loads(pickle.dumps(CustomBackend(fetch=none, push=ignore, poll=Interval(3), queue="q")))
    assert (backend.queue, backend.config["poll"]) == ("q", Interval(3))
    assert backend.capabilities() == CustomBackend(fetch=none, push=ignore).capabilities()


class Files:
    """Functions over a directory, which any process can use."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def fetch(self) -> str | None:
        for file in self.place.glob("*.new"):
            try:
                return str(file.rename(file.with_suffix(".taken")))
            except FileNotFoundError:
                continue
        return None

    def ack(self, task: Task[str], result: TaskResult[Any]) -> None:
        Path(task.args).with_suffix(".done").write_text(str(result.value))


@pytest.mark.slow
def test_a_monitor_runs_them(tmp_path: Path) -> None:
    """Several processes work on one backend of functions, each task in one of them."""
    files = Files(tmp_path)
    with Monitor(CustomBackend(fetch=files.fetch, ack=files.ack), len, workers=2):
        for name in "abcdef":
            (tmp_path / f"{name}.new").touch()
        eventually(lambda: len(list(tmp_path.glob("*.done"))) == 6)
    assert {file.read_text() for file in tmp_path.glob("*.done")} == {str(len(str(tmp_path / "a.taken")))}


def test_tasks_come_by_async_for() -> None:
    """The stream is an async iterator, too."""

    async def first() -> Any:
        async for task in CustomBackend(fetch=Post(5).fetch).poll("w"):
            if task is not None:
                return task.args
        return None

    assert asyncio.run(first()) == 5


def test_either_functions_or_a_store() -> None:
    """Neither, and both, is a TypeError that says what to give."""
    with pytest.raises(TypeError, match="store=, or fetch= and push="):
        CustomBackend()  # type: ignore[call-overload]


async def _store_later(_task: object) -> None:
    """Nobody awaits it."""


async def _rows() -> Any:
    yield 1


class _Later:
    """As objects of clients of some service are."""

    async def __call__(self, *_: object) -> None: ...


@pytest.mark.parametrize("function", [_store_later, _rows, _Later(), 5], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("name", ["fetch", "push", "ack", "give_back"])
def test_only_plain_functions_are_taken(name: str, function: Any) -> None:
    """A coroutine function, or what is none at all, is a TypeError before anything is entrusted to it."""
    given = {"fetch": list[int](), name: function} if name != "push" else {"push": function}
    with pytest.raises(TypeError, match=r"function|not iterable"):
        CustomBackend(**given)


def test_what_a_function_leaves_to_be_awaited_is_an_error() -> None:
    """A push that returned a coroutine stored nothing; an end that is told so was not told."""
    with CustomBackend(push=lambda task: _store_later(task)) as sink:
        with pytest.raises(PushError, match=r"returned <coroutine .* asyncio\.run") as caught:
            sink.push(1)
        assert caught.value.accepted == []
    for fetch in (lambda: _store_later(None), lambda: _rows()):
        with CustomBackend(fetch=fetch) as source, pytest.raises(StorageError, match="which nobody awaits"):
            next(source.poll("w"))
    with CustomBackend(fetch=[1], ack=lambda task, _result: _store_later(task)) as source:
        lease = source.register_worker("w")
        task = next(source.poll(lease))
        assert task is not None
        with pytest.raises(StorageError, match="function for ack="):
            lease.finish(task, 1)
        assert task.status is Status.RUNNING


def test_each_is_given_back_though_one_is_refused() -> None:
    """A ``give_back`` that raises for one task is asked about the others, too, and the worker has left."""
    back: list[int] = []

    def give_back(task: Task[Any]) -> None:
        back.append(task.args)
        if task.args < 4:
            raise OSError("the service is away")

    queue = CustomBackend(fetch=[1, 2, 3, 4], give_back=give_back)
    for name in ("a", "b"):
        lease = queue.register_worker(name)
        tasks = islice(queue.poll(lease), 2)
        assert None not in list(tasks)
    with pytest.raises(StorageError, match="function for give_back= raised OSError"):
        queue.close()
    assert sorted(back) == [1, 2, 3, 4]
    assert "closed" in repr(queue)
    assert "closed" in repr(lease)
