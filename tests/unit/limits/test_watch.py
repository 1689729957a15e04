"""The steps by which a process is ended, with a clock and processes of the test's own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from ipcq import ErrorInfo, Limits, QueueClosed, TaskId
from ipcq.errors import NotSupported
from ipcq.limits import watch as module
from ipcq.limits.board import Board
from ipcq.limits.watch import Watch

PID = 1 << 30


class World:
    """What a Watch does, as a list; and the worker that it looks at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[Any] = []
        self.board = Board()
        self.error: Exception | None = None
        monkeypatch.setattr(os, "kill", lambda _, number: self.done.append(signal.Signals(number).name))
        monkeypatch.setattr(module, "end_kin", lambda pid, itself: self.done.append("kill"))
        monkeypatch.setattr(module, "resident_bytes_of", lambda pid: 1000)
        self.board.begin(TaskId(7), 1.0)
        run = self.board.run()
        assert run is not None
        self.deadline = run.deadline

    def watch(self, limits: Limits | None = None) -> Watch:
        """A Watch of this world."""
        return Watch(PID, self.board, limits or Limits(), self.end_run, lambda: self.done.append("leave"))

    def end_run(self, task_id: TaskId, error: ErrorInfo, *, pid: int, retry_in: float) -> bool:
        """As of a backend."""
        if self.error is not None:
            raise self.error
        self.done.append(("end_run", int(task_id), error.type, pid))
        return True


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Something to look at."""
    made = World(monkeypatch)
    yield made
    made.board.close()


def _pass(watch: Watch, start: float, steps: int) -> float:
    """Look as often, each time when it was asked for; the last moment."""
    now = start
    for _ in range(steps):
        now = watch.look(now)
    return now


def test_what_is_stuck_is_asked_then_told_then_killed(world: World) -> None:
    """In this order, its task taken from it just before the end; then nothing more but that."""
    watch = world.watch()
    assert watch.look(world.deadline - 0.2) == pytest.approx(world.deadline)
    assert world.done == []

    killed = _pass(watch, world.deadline, 2)

    assert world.done == ["SIGTERM"]
    assert killed == pytest.approx(world.deadline + 0.35)
    _pass(watch, killed, 1)
    assert world.done == ["SIGTERM", ("end_run", 7, "ipcq.errors.TaskTimeout", PID), "kill"]
    assert watch.told == "a task ran for longer than its 1 s"
    assert repr(watch) == f"<Watch of process {PID}: killed>"


def test_what_ends_just_then_goes_on(world: World) -> None:
    """A run that came to its end before it was told is left alone, and so is its process."""
    watch = world.watch()
    now = watch.look(world.deadline)
    world.board.end()
    _pass(watch, now, 3)
    assert world.done == []
    assert watch.told == ""


def test_what_obeys_is_left_to_its_end(world: World) -> None:
    """Its worker stores the end of the run; it is killed only if it does not end then."""
    watch = world.watch()
    now = _pass(watch, world.deadline, 2)
    world.board.end()
    now = watch.look(now)
    assert world.done == ["SIGTERM"]
    _pass(watch, now, 1)
    assert world.done == ["SIGTERM", "kill"]


@pytest.mark.parametrize("error", [NotSupported("EndRun", "it"), QueueClosed("it is closed")])
def test_what_cannot_be_told_is_killed_all_the_same(world: World, error: Exception) -> None:
    """Then it is a death like others."""
    world.error = error
    _pass(world.watch(), world.deadline, 3)
    assert world.done == ["SIGTERM", "kill"]


def test_memory_ends_a_run(world: World) -> None:
    """Before its deadline."""
    _pass(world.watch(Limits(memory=999)), world.deadline - 0.5, 3)
    assert world.done == ["SIGTERM", ("end_run", 7, "ipcq.errors.MemoryExceeded", PID), "kill"]


def test_what_is_to_leave_may_be_late_all_the_same(world: World) -> None:
    """A process that is asked to end after its task is ended if that task gets stuck."""
    world.board.end()
    world.board.begin(TaskId(8), 1.0)
    watch = world.watch(Limits(recycle_memory=999))
    watch.look(world.deadline - 0.7)
    assert world.done == ["leave"]
    _pass(watch, world.deadline + 0.5, 3)
    assert world.done[1:] == ["SIGTERM", ("end_run", 8, "ipcq.errors.TaskTimeout", PID), "kill"]
