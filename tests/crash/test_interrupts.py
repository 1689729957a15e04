"""Ctrl-C at every point of a call where CPython would let it in: the handle goes on to work."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ipcq import MemoryStorage, Status, Task
from ipcq.backends.lockfile import open_lock_file
from ipcq.layers import ConcurrencyLimit, RateLimit
from tests.unit.memory.children import elsewhere

from .aftermath import check_whole

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 10.0  # seconds; only a test that fails waits so long
MOST = 5_000  # points in one call
SIZES = (10, 2_000, 20_000)  # none in a file: between `os.open` and its assignment, Ctrl-C costs a descriptor


class Interrupt:
    """Raises KeyboardInterrupt at the ``point``-th return of a C function, or start of a Python one."""

    def __init__(self, point: int) -> None:
        self.left = point

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if event in ("c_return", "call") and "ipcq" in frame.f_code.co_filename:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt


def _points(prepare: Callable[[], object], call: Callable[[], object], look: Callable[[], object]) -> int:
    """Interrupt ``call`` at each of its points in turn, and ``look`` after each; how many there were."""
    for point in range(1, MOST):
        prepare()
        interrupt = Interrupt(point)
        sys.setprofile(interrupt)
        try:
            call()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
        look()
        if interrupt.left > 0:
            return point - 1
    raise AssertionError("it does not come to an end")


def _work_off(storage: MemoryStorage, count: int) -> None:
    with storage.register_worker("w") as lease:
        stream = storage.poll(lease)
        for _ in range(count):
            task = next(stream)
            assert task is not None
            lease.finish(task, task.args)


def test_interrupted_waits_lose_no_result(make_queue: MakeQueue) -> None:
    """A result that an interrupted wait had fetched is given to whoever waits for it, here or elsewhere."""
    storage = make_queue(capacity=64, arena_bytes=1 << 20)
    state: dict[str, Any] = {}

    def prepare() -> None:
        ids = [storage.push(n) for n in range(3)]
        state["mine"] = storage.wait_for(ids[:2], PATIENCE)
        state["others"] = storage.wait_for(ids[1:], PATIENCE)
        state["first"] = ids[0]
        _work_off(storage, 3)

    def look() -> None:
        started = time.monotonic()
        assert sorted(result.unwrap() for result in state["others"]) == [1, 2]
        assert storage.wait(state["first"], PATIENCE).unwrap() == 0
        assert time.monotonic() - started < PATIENCE / 2  # not only when the time is over

    points = _points(prepare, lambda: list(state["mine"]), look)
    check_whole(storage)
    print(f"\n{points} points in a wait")
    assert points > 20


def test_interrupted_pushes_leave_the_queue_whole(make_queue: MakeQueue) -> None:
    """A push that was interrupted is stored or not, and whatever is stored is run."""
    storage = make_queue(capacity=64, arena_bytes=1 << 20)

    def look() -> None:
        task_id = storage.push("after")
        _work_off(storage, storage.list_tasks().total)
        assert storage.wait(task_id, PATIENCE).unwrap() == "after"
        storage.vacuum()
        assert storage.list_tasks().total == 0
        check_whole(storage)

    for size in SIZES:
        points = _points(lambda: None, lambda data=b"x" * size: storage.push(data), look)  # type: ignore[misc]
        print(f"\n{points} points in a push of {size} bytes")
        assert points > 5


@pytest.mark.parametrize(
    "size", [pytest.param(size, marks=pytest.mark.slow if size == 2_000 else ()) for size in SIZES]
)
def test_interrupted_takes_lose_no_task(make_queue: MakeQueue, size: int) -> None:
    """What an interrupted worker had taken or not yet finished comes back when it leaves."""
    storage = make_queue(capacity=64, arena_bytes=1 << 20)
    state: dict[str, Any] = {}

    def prepare() -> None:
        state["id"] = storage.push(b"x" * size)
        state["lease"] = storage.register_worker("first")

    def call() -> None:
        lease = state["lease"]
        task = next(storage.poll(lease))
        assert task is not None
        lease.finish(task, task.args)

    def look() -> None:
        state["lease"].close()
        if storage.check_status([state["id"]])[state["id"]] is not Status.DONE:
            _work_off(storage, 1)
        assert storage.wait(state["id"], PATIENCE).unwrap() == b"x" * size
        storage.vacuum()
        check_whole(storage)

    points = _points(prepare, call, look)
    print(f"\n{points} points in taking and finishing a task of {size} bytes")
    assert points > 10


def _permits_left(storage: MemoryStorage) -> int:
    permits = [storage.take_permit("default", 3) for _ in range(3)]
    taken = [permit for permit in permits if permit is not None]
    for permit in taken:
        permit.release()
    return len(taken)


def test_interrupted_runs_give_their_permits_back(make_queue: MakeQueue, private_directory: Path) -> None:
    """At once, for this process and all others; and turns are given out as before."""
    storage = make_queue("limited", capacity=16)
    permit = storage.take_permit("default", 3)  # so that its file is open: see `SIZES`
    layers = ConcurrencyLimit(3, per=storage), ConcurrencyLimit(2), RateLimit(1e6, 1000, per=storage)
    context, take_turn = SimpleNamespace(stopping=False), partial(storage.take_turn, "default", 1e6, 1000)

    def run(layers: tuple[Any, ...]) -> None:
        if layers:
            layers[0](Task.of(None), context, lambda *_: run(layers[1:]))

    def look() -> None:
        assert _permits_left(storage) == 2
        assert elsewhere(lambda: (_permits_left(storage), take_turn().taken)) == "(2, True)"
        assert repr(layers[1]._limits) == "<OwnLimits: 0 run>"

    points = _points(lambda: None, lambda: run(layers), look)
    print(f"\n{points} points in a run inside of limits")
    assert points > 20
    assert permit is not None
    permit.release()
    file = open_lock_file(f"{private_directory}/limited/limit.default")
    while file.fd >= 0:  # how often an interrupted one did not end its use
        file.release()
