"""A process is killed at a named store of one operation; another uses the queue at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pytest

from ipcq import ErrorInfo, MemoryStorage, Status, TaskId
from ipcq.backends.memory import COMPILED
from tests.unit.memory.children import Line, child

from .aftermath import check_empty, check_whole, unfinished
from .fuse import Fuse
from .handlers import SIZES

pytestmark = pytest.mark.skipif(COMPILED, reason="nothing sees the stores; see test_uncompiled.py")

BASE = [[n, b"x" * size] for n, size in enumerate(SIZES)]  # what is in the queue before
EXTRA = [[100 + n, b"y" * size] for n, size in enumerate(SIZES)]  # what the killed process pushes
PATIENCE = 30.0
AT_ONCE = 10.0  # seconds: far more than anything takes, far less than a lock that is waited for

Light = Callable[[], None]
Operation = Callable[[MemoryStorage, Light], object]


# --- what is done, from the call of `light` on -----------------------------------------------------


def _push(storage: MemoryStorage, light: Light) -> None:
    light()
    for args in EXTRA:
        storage.push(args)


def _push_bulk(storage: MemoryStorage, light: Light) -> None:
    light()
    storage.push_bulk(EXTRA, run_at=time.time() + 0.05)


def _take(storage: MemoryStorage, light: Light) -> None:
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease, prefetch=3)
        light()
        next(stream)
        next(stream)


def _finish(storage: MemoryStorage, light: Light) -> None:
    light()
    _work_off(storage)


def _fail(storage: MemoryStorage, light: Light) -> None:
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease)
        light()
        for _ in BASE:
            task = next(stream)
            assert task is not None
            lease.fail(task, ErrorInfo("E", "m" * len(task.args[1])))


def _give_back(storage: MemoryStorage, light: Light) -> None:
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease, prefetch=3)
        task = next(stream)
        assert task is not None
        light()
        lease.give_back(task)
        stream.close()


def _postpone(storage: MemoryStorage, light: Light) -> None:
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease, prefetch=3)
        light()
        for seconds in (0.01, 0.0):
            task = next(stream)
            assert task is not None
            lease.postpone(task, seconds)
        stream.close()


def _come_and_go(storage: MemoryStorage, light: Light) -> None:
    light()
    with storage.register_worker("w") as lease:
        next(storage.poll(lease, prefetch=3))


def _fetch(storage: MemoryStorage, light: Light) -> None:
    ids = [task.id for task in storage.list_tasks().items]
    _work_off(storage)
    light()
    for _ in storage.wait_for(ids, PATIENCE):
        pass


def _vacuum(storage: MemoryStorage, light: Light) -> None:
    _work_off(storage)
    light()
    storage.vacuum()


def _cancel(storage: MemoryStorage, light: Light) -> None:
    with storage.register_worker("w") as lease:
        next(storage.poll(lease, prefetch=3))
        light()
        for task in storage.list_tasks().items:
            storage.cancel(task.id, running=True)


def _resume(storage: MemoryStorage, light: Light) -> None:
    """Tasks that wait, that are held, that run and that are KILLED."""
    with storage.register_worker("w") as lease:
        task = next(storage.poll(lease))
        assert task is not None
        lease.fail(task, ErrorInfo("E", "m"))
        next(storage.poll(lease, prefetch=3))
        light()
        for task in storage.list_tasks().items:
            storage.reschedule(task.id, 0.01, force=True)
            storage.resume_by_id(task.id)


def _update(storage: MemoryStorage, light: Light) -> None:
    """To another priority, and to a payload of another size and back."""
    tasks = storage.list_tasks().items
    light()
    for task, other in zip(tasks, reversed(tasks), strict=True):
        args = task.args
        for changed in (other.args, args):
            task.args, task.priority = changed, task.priority + 1
            storage.update(task)


def _work_off(storage: MemoryStorage) -> None:
    """Finish all that is owed a run."""
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease)
        while unfinished(storage):
            task = next(stream)
            if task is not None:
                lease.finish(task, task.args)


_ALL = (
    _push, _push_bulk, _take, _finish, _fail, _give_back, _postpone, _come_and_go, _fetch,
    _vacuum, _cancel, _resume, _update,
)  # fmt: skip
OPERATIONS: dict[str, Operation] = {function.__name__.strip("_"): function for function in _ALL}


class Allowed(NamedTuple):
    """What may have become of the tasks that were there before."""

    may_fail: bool = False
    may_go: bool = False
    may_change: bool = False


ALLOWED = {
    **{name: {"may_fail": True} for name in ("fail", "cancel", "resume")},
    "vacuum": {"may_go": True},
    "update": {"may_change": True},
}


# --- killing, and looking --------------------------------------------------------------------------


def _do(name: str, operation: Operation, store: int) -> int:
    """Do it in a process that is killed at its ``store``-th store; how many there were."""
    fuse = Fuse(store)

    def work(line: Line) -> None:
        fuse.install()
        with MemoryStorage(name, create=False) as storage:
            operation(storage, fuse.light)
        line.say(fuse.burnt)

    return _follow(work, store)


def _recover(name: str, store: int) -> int:
    """Attach, which puts in order what a dead process left, and be killed in that."""
    fuse = Fuse(store)

    def work(line: Line) -> None:
        fuse.install()
        fuse.light()
        with MemoryStorage(name, create=False) as storage:
            storage.resume_abandoned()
            line.say(fuse.burnt)

    return _follow(work, store)


def _follow(work: Callable[[Line], object], store: int) -> int:
    with child(work) as process:
        if not store:
            return int(process.hear())
        assert process.join() == -9
        return store


def _die_with_tasks(storage: MemoryStorage, light: Light) -> None:
    """Be killed in a push while three tasks are held, one of them running."""
    next(storage.poll("dead", prefetch=3))
    light()
    storage.push_bulk(EXTRA)


def _look(storage: MemoryStorage, base: list[TaskId], **allowed: bool) -> None:
    """Use the queue at once: it answers, is whole, and every task comes to its end."""
    started = time.monotonic()
    last = storage.push([999, b""])
    check_whole(storage)
    assert time.monotonic() - started < AT_ONCE
    _work_off(storage)
    check_whole(storage)
    with MemoryStorage(storage.queue, create=False) as fresh:  # one that has no memory of its own
        _check(fresh, base, last, Allowed(**allowed))
    check_empty(storage)


def _check(storage: MemoryStorage, base: list[TaskId], last: TaskId, allowed: Allowed) -> None:
    """All tasks of before have ended, with the right values; of those pushed, a prefix is there."""
    for task_id, args in zip(base, BASE, strict=True):
        task = storage.fetch_by_id(task_id)
        if task is None:
            assert allowed.may_go
            continue
        assert task.deaths <= 1
        if task.status is Status.KILLED:
            assert allowed.may_fail
        else:
            assert storage.wait(task_id, PATIENCE).unwrap() in (BASE if allowed.may_change else [args])
    others = [task.id for task in storage.list_tasks().items if task.id not in (*base, last)]
    values = [storage.wait(task_id, PATIENCE).unwrap() for task_id in reversed(others)]
    assert values == EXTRA[: len(values)]


def _each(stores: Iterable[int], kill: Callable[[str, int], object], **allowed: bool) -> int:
    """A new queue for each store; ``kill(its name, the store)``, then look. How many there were."""
    count = 0
    for store in stores:
        with MemoryStorage("q", capacity=64, arena_bytes=1 << 20) as storage:
            base = storage.push_bulk(BASE)
            kill("q", store)
            _look(storage, base, **allowed)
            storage.destroy()
        count += 1
    return count


def _stores(kill: Callable[[str, int], int], most: int) -> range:
    """Which stores to be killed at: each one, or about ``most`` of them."""
    with MemoryStorage("q", capacity=64, arena_bytes=1 << 20) as storage:
        storage.push_bulk(BASE)
        count = kill("q", 0)
        storage.destroy(force=True)
    return range(1, count + 1, max(1, count // most))


some_and_many = pytest.mark.parametrize(
    "most", [pytest.param(2, id="some"), pytest.param(100, id="many", marks=pytest.mark.slow)]
)


@some_and_many
@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_a_store(operation: str, most: int) -> None:
    """Whoever comes after a process that was killed at any store of an operation finds all in order."""

    def kill(name: str, store: int) -> int:
        return _do(name, OPERATIONS[operation], store)

    stores = _stores(kill, most)
    count = _each(stores, kill, **ALLOWED.get(operation, {}))
    print(f"\n{operation}: killed at {count} of {stores.stop - 1} stores")


@pytest.mark.slow
@some_and_many
@pytest.mark.parametrize("first", [5, 60])
def test_killed_while_it_recovers(first: int, most: int) -> None:
    """The same after a second process was killed while it put in order what the first one left."""

    def kill(name: str, store: int) -> int:
        _do(name, _die_with_tasks, first)
        return _recover(name, store)

    stores = _stores(kill, most)
    count = _each(stores, kill)
    print(f"\nrecovery: killed at {count} of {stores.stop - 1} stores")
