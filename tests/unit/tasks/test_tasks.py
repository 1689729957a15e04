"""Named functions in one queue: what a push checks, what a worker runs, what comes back."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ipcq import (
    Abort,
    Attempt,
    HandlerNotFound,
    MemoryStorage,
    Monitor,
    NotSupported,
    Status,
    Task,
    TaskFailed,
    TaskHandle,
    TaskId,
    TaskQueue,
    WaitTimeout,
    Worker,
)
from ipcq.sink import TAG
from ipcq.worker import Router

from ..working import work
from . import thumbs as module
from .thumbs import Store, chain, make, save, spoil, thumbs, who


@pytest.fixture
def opened(private_directory: object) -> Iterator[TaskQueue]:
    """The module's queue, empty, closed after the test."""
    with thumbs:
        yield thumbs


def test_a_function_is_called_as_it_is() -> None:
    """A registered function runs here when it is called, and tells what it is; no queue is opened."""
    assert make("a.png", width=1) == "a.png at 1"
    assert (make.__name__, make.__doc__) == ("make", "What was asked for.")
    assert repr(make) == "<TaskFunction make of memory://thumbs>"
    assert repr(thumbs).startswith("<TaskQueue memory://thumbs: chain, give_up, keep, make,")


def test_a_push_is_run_by_name(opened: TaskQueue) -> None:
    """Arguments by position and by name reach the function of their name, and its value comes back."""
    first, second = make.push("a.png", width=64), make.push("b.png")
    work(opened.backend, opened, 2)
    assert (first.wait(10), second.wait(10)) == ("a.png at 64", "b.png at 128")
    assert repr(first) == f"<TaskHandle {first.id} of make in memory://thumbs>"


def test_arguments_are_checked_when_they_are_pushed(opened: TaskQueue) -> None:
    """What the function would not take is a TypeError of the push, and nothing is stored."""
    with pytest.raises(TypeError, match=r"make\.push: missing a required argument: 'path'"):
        make.push()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"make\.push: got an unexpected keyword argument 'height'"):
        make.push("a", height=3)  # type: ignore[call-arg]
    backend: Any = opened.backend
    assert backend.list_tasks().total == 0


def test_parts_come_from_the_function_and_from_the_call(opened: TaskQueue) -> None:
    """`task` says what holds for all pushes, `options` for one; a misspelt part is a TypeError at once."""
    backend: Any = opened.backend
    usual = backend.fetch_by_id(save.push("a").id)
    special = backend.fetch_by_id(save.options(priority=2, run_at=9e9, metadata={"a": 1}).push("a").id)
    assert (usual.max_attempts, usual.priority, usual.metadata) == (3, 0, {TAG: "keep"})
    assert (special.max_attempts, special.priority, special.run_at) == (3, 2, 9e9)
    assert special.metadata == {"a": 1, TAG: "keep"}
    assert repr(make.options(priority=2)) == "<make.options(priority=2)>"
    with pytest.raises(TypeError, match="'max_atempts' is no part of a task; there are id, priority"):
        opened.task(max_atempts=3)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="'prio' is no part"):
        make.options(prio=3)  # type: ignore[call-arg]


def test_parameters_with_a_default_are_filled_by_the_worker(opened: TaskQueue) -> None:
    """What annotations name is given where the function runs; what the push gave stays."""
    backend: Any = opened.backend
    saved, told, given = save.push("a"), who.push(), who.push(TaskId(7))
    worker = Worker("w", backend, opened, provide={Store: Store})
    worker.run(until_empty=True)
    assert saved.wait(10) == "a in store, run 2"
    assert list(told.wait(10))[:2] == [str(told.id), "w"]
    assert list(given.wait(10))[:2] == ["7", "w"]


def test_an_unknown_name_is_killed_with_the_reason(opened: TaskQueue) -> None:
    """A worker that does not know the function says which it knows, and does not try again."""
    backend: Any = opened.backend
    lost = backend.weak().push([[], {}], "crop", max_attempts=5)
    kept = make.push("a")
    work(backend, opened, 2)
    result = backend.wait(lost, 10)
    assert (result.status, kept.wait(10)) == (Status.KILLED, "a at 128")
    assert "no handler for tasks of type 'crop'" in str(result.error)
    assert "give_up, keep, make" in str(result.error)


def test_what_another_version_pushed_is_not_tried_again() -> None:
    """Arguments that the worker's function does not take, or that are none, are an Abort that tells."""
    for args, why in (
        ([["a", 1, 2], {}], "make of this worker does not take what arrived: too many positional"),
        ([[], {"p": 1}], "does not take what arrived: missing a required argument: 'path'"),
        ("a.png", "what arrived are no arguments of make"),
    ):
        with pytest.raises(Abort, match=why):
            thumbs(Task.of(args, metadata={TAG: "make"}))


def test_errors_come_back_as_they_are(opened: TaskQueue) -> None:
    """A TypeError of the function itself is the task's failure; a wait without time ends as such."""
    handle = spoil.push("x")
    with pytest.raises(WaitTimeout):
        handle.wait(0)
    work(opened.backend, opened)
    with pytest.raises(TaskFailed, match="TypeError: bad x"):
        handle.wait(10)


def test_a_handle_cancels(opened: TaskQueue) -> None:
    """A cancelled task does not run, and its wait tells so."""
    handle = make.push("a")
    assert handle.cancel()
    with pytest.raises(TaskFailed, match="Cancelled"):
        handle.wait(10)


def test_names_are_unique(queue: MemoryStorage) -> None:
    """The same name twice is an error that says whose it is; so is a queue without functions."""
    tasks = TaskQueue(queue)
    with pytest.raises(ValueError, match=r"nothing to run; import the modules"):
        Worker("w", queue, tasks)
    tasks.task(abs)
    with pytest.raises(ValueError, match=r"has a task 'abs' already, builtins\.abs"):
        tasks.task(name="abs")(len)
    tasks.task(name="abs2")(abs)
    assert tasks.tasks == {"abs", "abs2"}


def test_what_cannot_be_a_task_is_refused(queue: MemoryStorage) -> None:
    """No function, a backend without several types: an error where it is written."""
    tasks = TaskQueue(queue)
    with pytest.raises(TypeError, match=r"'make' is no function; write @queue\.task"):
        tasks.task("make")  # type: ignore[call-overload]
    with pytest.raises(NotSupported, match="TaskQueue"):
        TaskQueue(object())  # type: ignore[arg-type]


def test_coroutine_functions_run_together(queue: MemoryStorage) -> None:
    """All functions of a queue may be such; one that takes no such arguments is told so."""
    tasks, there = TaskQueue(queue), asyncio.Event()

    @tasks.task
    async def give(number: int) -> int:
        await there.wait()
        return number

    @tasks.task
    async def allow() -> None:
        there.set()

    first, second = give.push(1), allow.push()
    Worker("w", queue, tasks, concurrency=2).run(until_empty=True)
    values: list[Any] = [first.wait(0), second.wait(0)]
    assert values == [1, None]


def test_a_backend_stays_whose_it_is(queue: MemoryStorage) -> None:
    """A queue of functions over a backend uses that one, and does not close it."""
    with TaskQueue(queue) as tasks:
        double = tasks.task(name="double")(lambda number: 2 * number)
        handle = double.push(4)
        work(queue, tasks)
    assert (tasks.backend, handle.wait(10)) == (queue, 8)


def test_any_shape_of_parameters(queue: MemoryStorage) -> None:
    """Functions with ``*args``, positional-only and keyword parameters, partials and those of C are tasks."""
    tasks, none = TaskQueue(queue), Attempt(0)

    @tasks.task
    def gather(first: int, /, second: int = 2, *rest: int, run: Attempt = none, **more: int) -> list[int]:
        return [first, second, *rest, int(run), *more.values()]

    @tasks.task
    def later(run: Attempt = none, packed: int = 7) -> list[int]:
        return [int(run), packed]

    add = tasks.task(name="add")(partial(pow, 2))
    least = tasks.task(min)
    handles: list[TaskHandle[Any]] = [gather.push(1), gather.push(1, 5, 6, z=9)]
    handles += [gather.push(1, run=Attempt(4)), later.push(), later.push(Attempt(3))]
    handles += [add.push(5), least.push(4, 3)]
    work(queue, tasks, len(handles))
    assert [handle.wait(10) for handle in handles] == [
        *([1, 2, 1], [1, 5, 6, 1, 9], [1, 2, 4]),
        *([1, 7], [3, 7], 32, 3),
    ]


def test_annotations_for_type_checkers_only_do_no_harm(queue: MemoryStorage) -> None:
    """What arguments without a default and the value are called need not exist where the function runs."""
    tasks = TaskQueue(queue)

    @tasks.task
    def draw(path: Unknown, width: int = 3) -> Unknown:  # type: ignore[name-defined]  # noqa: F821
        return width

    handle = draw.push("a")
    work(queue, tasks)
    assert handle.wait(10) == 3


def test_a_function_is_a_plain_handler_too(queue: MemoryStorage) -> None:
    """As the only handler of another queue a registered function is what it was."""
    task = queue.push("a", max_attempts=2)
    work(queue, save, 2)
    assert queue.wait(task, 10).value == "a in nothing, run 2"


def test_a_queue_in_a_file(tmp_path: Path) -> None:
    """Any backend with tasks of several types will do; its codec is the queue's."""
    with TaskQueue(f"json://{tmp_path}/q.jsonl") as tasks:
        double = tasks.task(name="double")(_double)
        handles = [double.push(4), double.push(number=5)]
        work(tasks.backend, tasks, 2)
        assert [handle.wait(10) for handle in handles] == [8, 10]


def _double(number: int) -> int:
    return 2 * number


def test_a_url_is_connected_once_and_again_after_close(opened: TaskQueue) -> None:
    """All pushes share one connection; closed, the next use makes another."""
    first = opened.backend
    assert opened.backend is first
    opened.close()
    assert opened.backend is not first


def test_names_lead_to_queues_of_functions_and_routers(opened: TaskQueue) -> None:
    """``module:queue`` is a handler, as the object is; so is a Router's name."""
    handle = make.push("a")
    work(opened.backend, f"{module.__name__}:thumbs")
    assert handle.wait(10) == "a at 128"
    work_router: Any = opened.backend
    task = work_router.weak().push(-3)
    work(work_router, f"{__name__}:ROUTER")
    assert work_router.wait(task, 10).value == 3


ROUTER = Router({int: abs})


def test_it_travels_with_its_functions() -> None:
    """Pickled, functions go by name, and a queue of them knows the same ones in another process."""
    again = pickle.loads(pickle.dumps(thumbs))
    assert pickle.loads(pickle.dumps(make)) is make
    handle = TaskHandle[str](make.place, "make", TaskId.new())
    assert repr(pickle.loads(pickle.dumps(handle))) == repr(handle)
    assert (again.tasks, repr(again)) == (thumbs.tasks, repr(thumbs))


def test_a_function_that_has_no_place_is_refused_by_a_monitor(queue: MemoryStorage) -> None:
    """What worker processes could not find is an error before any of them starts."""
    tasks = TaskQueue("memory://elsewhere")
    tasks.task(name="nowhere")(lambda: None)
    with pytest.raises(HandlerNotFound, match="cannot be sent to worker processes"):
        Monitor(queue, tasks)


@pytest.mark.one_fork_server
@pytest.mark.parametrize("handler", [thumbs, f"{module.__name__}:thumbs"], ids=["object", "name"])
def test_worker_processes_run_them(opened: TaskQueue, handler: TaskQueue | str) -> None:
    """A Monitor's workers find the functions, by the object and by its name, and fill what they want."""
    with Monitor(opened.backend, handler, workers=1, provide={Store: Store}) as monitor:
        told, saved = who.push(), save.push("a")
        assert told.wait(30)[2] in monitor.workers
        assert saved.wait(30) == "a in store, run 2"


def test_a_worker_process_pushes_others(opened: TaskQueue) -> None:
    """A function that a worker runs pushes others into the same queue."""
    with Monitor(opened.backend, opened, workers=1):
        pushed = TaskId.parse(chain.push("b").wait(30))
        assert opened.backend.wait(pushed, 30).value == "b at 128"
