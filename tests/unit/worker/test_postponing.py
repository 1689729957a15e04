"""Tasks that are put off, by what the backend says to it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ipcq import IllegalTransition, NotSupported, QueueFull, Status, Task, TaskNotFound
from ipcq.testing import FakeClock
from ipcq.worker.postponing import Postponing
from ipcq.worker.stopping import Stop
from tests.unit.worker.fakes import FakeLease


class Backend:
    """Has one task, with an epoch, and refuses to move it by ``error``."""

    def __init__(self, epoch: int | None, error: Exception | None = None) -> None:
        self.epoch, self.error = epoch, error
        self.moved: list[tuple[float, bool]] = []

    def capabilities(self) -> frozenset[str]:
        return frozenset({"FetchById", "Reschedule"})

    def fetch_by_id(self, task_id: Any) -> Any:
        return None if self.epoch is None else _task(self.epoch)

    def reschedule(self, task_id: Any, wait: float, *, force: bool) -> None:
        if self.error is not None:
            raise self.error
        self.moved.append((wait, force))


def _task(epoch: int) -> Any:
    return SimpleNamespace(id="id", args=1, lease=SimpleNamespace(epoch=epoch))


@pytest.mark.parametrize(("epoch", "moved"), [(3, [(7.0, True)]), (4, []), (None, [])])
def test_only_the_run_that_is_ours(epoch: int | None, moved: list[Any]) -> None:
    """Another run of the task, and one that was removed, are left alone."""
    backend: Any = Backend(epoch)
    Postponing(backend, FakeLease(), Stop())(_task(3), 7.0)
    assert backend.moved == moved


@pytest.mark.parametrize("error", [TaskNotFound("gone"), IllegalTransition(Status.DONE, Status.PENDING)])
def test_a_move_that_is_refused(error: Exception) -> None:
    """The task ended meanwhile, or is gone; the worker goes on."""
    backend: Any = Backend(3, error)
    lease = FakeLease()
    Postponing(backend, lease, Stop())(_task(3), 7.0)
    assert lease.log == [("give back", 1)]


@pytest.mark.parametrize("ends", [False, True])
def test_a_store_that_is_full(ends: bool) -> None:
    """It is asked until there is room; a worker that is to end gives the task back instead."""
    backend: Any = Backend(3, QueueFull("no room"))
    stop, lease, clock = Stop(), FakeLease(), FakeClock(0)

    def meanwhile(_: float) -> None:
        if ends:
            stop.request()
        elif clock() > 1:
            backend.error = None

    clock.on_advance(meanwhile)
    Postponing(backend, lease, stop, sleep=clock.sleep)(_task(3), 7.0)
    assert backend.moved == ([] if ends else [(7.0, True)])
    assert lease.log == [("give back", 1)]


def test_a_backend_that_cannot() -> None:
    """It is asked before anything is done."""
    backend: Any = SimpleNamespace(capabilities=lambda: frozenset({"Backend"}))
    lease = FakeLease()
    with pytest.raises(NotSupported):
        Postponing(backend, lease, Stop())(Task.of(1), 7.0)
    assert lease.log == []
