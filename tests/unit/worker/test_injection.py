"""What handlers get beside their arguments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, NamedTuple

import pytest

from ipcq import Attempt, MemoryStorage, Monitor, Router, Task, TaskId, Worker, WorkerContext

PATIENCE = 20.0


class Database:
    """Something that is opened in a worker's process, and closed there."""

    opened: ClassVar[list[Database]] = []

    def __init__(self) -> None:
        self.pid, self.closed = os.getpid(), False
        self.opened.append(self)

    def close(self) -> None:
        """Note that it is closed."""
        self.closed = True


class Session(NamedTuple):
    """Made by a context manager."""

    name: str


@contextmanager
def session() -> Iterator[Session]:
    """A session, for as long as it is needed."""
    Database.opened.append(database := Database())
    yield Session("open")
    database.close()


@pytest.fixture(autouse=True)
def nothing_is_open() -> Iterator[None]:
    """Each test begins, and ends, without databases."""
    yield
    assert all(each.closed for each in Database.opened)
    Database.opened.clear()


def everything(
    args: Any, *, database: Database, run: Attempt, task: Task[Any], context: WorkerContext, task_id: TaskId
) -> list[Any]:
    """Tell all that came."""
    assert not database.closed
    assert context.worker
    return [args, run, task.id == task_id, task.args, database.pid]


def test_a_handler_gets_what_it_names(queue: MemoryStorage) -> None:
    """By the annotations of its parameters, in every run."""
    task_id = queue.push("args", max_attempts=2)

    def twice(args: Any, run: Attempt, database: Database) -> list[Any]:
        if run == 1:
            raise OSError
        return [args, int(run), database is Database.opened[0]]

    Worker("worker", queue, twice, provide={Database: Database}).run(until_empty=True)
    assert queue.wait(task_id, PATIENCE).unwrap() == ["args", 2, True]
    assert len(Database.opened) == 1


def test_all_kinds_of_it(queue: MemoryStorage) -> None:
    """The task, its id, the run, the worker, and an object of one's own, here and in a Monitor's workers."""
    first = queue.push("here")
    Worker("worker", queue, everything, provide={Database: Database}).run(until_empty=True)
    assert queue.wait(first, PATIENCE).unwrap() == ["here", 1, True, "here", os.getpid()]
    with Monitor(queue, everything, workers=1, provide={Database: Database}) as monitor:
        second = queue.push("there")
        assert queue.wait(second, PATIENCE).unwrap() == ["there", 1, True, "there", monitor.workers[0]]


def test_a_context_manager_is_entered_and_left(queue: MemoryStorage) -> None:
    """The handler gets what it gives; what nobody wants is not made."""

    def handle(args: Any, session: Session) -> str:
        return session.name

    task_id = queue.push(None)
    provide: Any = {Session: session, Database: Database}
    worker = Worker("worker", queue, handle, provide=provide)
    worker.run(until_empty=True)
    assert queue.wait(task_id, PATIENCE).unwrap() == "open"
    assert len(set(Database.opened)) == 1
    worker.run(until_empty=True)  # once more: it is made anew
    assert len(set(Database.opened)) == 2


def test_a_router_gives_it_to_each_handler(queue: MemoryStorage) -> None:
    """Handlers of a `Router` name what they want, too."""

    def count(args: Any, run: Attempt) -> list[Any]:
        return [args, int(run)]

    task_id = queue.weak().push({"a": 1}, type="counted")
    Worker("worker", queue, Router({"counted": count, "plain": len})).run(until_empty=True)
    assert queue.wait(task_id, PATIENCE).unwrap() == [{"a": 1}, 1]


def test_other_callables(queue: MemoryStorage) -> None:
    """Objects, methods, partials, functions of C: all that can be called can be a handler."""

    class Handler:
        def __call__(self, args: Any, run: Attempt) -> Any:
            return [args, int(run)]

        def method(self, args: Any, run: Attempt, factor: int = 2) -> Any:
            return [args * factor, int(run)]

    for handler, value in (
        (Handler(), [3, 1]),
        (Handler().method, [6, 1]),
        (partial(Handler().method, factor=5), [15, 1]),
        (abs, 3),
        (lambda args, *others, **named: args, 3),
    ):
        task_id = queue.push(3)
        Worker("worker", queue, handler).run(until_empty=True)
        assert queue.wait(task_id, PATIENCE).unwrap() == value


def needs_a_database(args: Any, database: Database) -> None:
    """Cannot be called without."""


def needs_something(args: Any, something) -> None:  # type: ignore[no-untyped-def]
    """Does not say what."""


def takes_nothing() -> None:
    """Cannot be a handler."""


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (needs_a_database, r"needs_a_database: nothing provides its parameter 'database' \(Database\)"),
        (needs_something, r"nothing provides its parameter 'something' \(without an annotation\)"),
        (takes_nothing, "takes no argument"),
        (lambda *, args: args, "takes no argument"),
        (Router({"a": needs_a_database}), "nothing provides"),
    ],
)
def test_what_is_missing_is_found_when_the_worker_is_built(
    queue: MemoryStorage, handler: Any, told: str
) -> None:
    """Before any task is taken."""
    with pytest.raises(TypeError, match=told):
        Worker("worker", queue, handler)


def yields_a_database() -> Iterator[Database]:
    """Lacks its decorator."""
    yield Database()


async def awaits_a_database() -> Database:
    """Is for coroutine functions."""
    return Database()


def test_a_maker_of_something_else_is_found_when_the_worker_is_built(queue: MemoryStorage) -> None:
    """The handler would get a generator, or a coroutine, where it names a class."""
    with pytest.raises(TypeError, match=r"yields_a_database.*@contextmanager"):
        Worker("worker", queue, needs_a_database, provide={Database: yields_a_database})
    with pytest.raises(TypeError, match=r"awaits_a_database.* needs_a_database is not.* async def"):
        Worker("worker", queue, needs_a_database, provide={Database: awaits_a_database})

    def take(args: Any, numbers: Iterator[int]) -> int:
        return next(numbers)

    numbers: Any = {Iterator[int]: lambda: iter([7]), Iterator: yields_a_database}
    Worker("worker", queue, take, provide=numbers)  # what it names


def test_an_annotation_that_means_nothing(queue: MemoryStorage) -> None:
    """It is told which."""

    def handle(args: Any, thing: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
        pass

    with pytest.raises(TypeError, match=r"handle.*Nowhere"):
        Worker("worker", queue, handle)
