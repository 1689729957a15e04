"""What a worker is asked to do, from anywhere."""

from __future__ import annotations

from ...backend import WorkerRequest
from ..acts import enter, leave, request_of
from ..check import proves
from ..expecting import expect_equal
from ..scene import Scene

_STATES = {WorkerRequest.PAUSE: "PAUSED", WorkerRequest.RUN: "RUNNING", WorkerRequest.STOP: "RUNNING"}


def it_hears_it(scene: Scene) -> None:
    """A worker of another process hears a pause, its end and a stop with its next heartbeat."""
    there = scene.elsewhere()
    there.do(enter, "w")
    for request, state in _STATES.items():
        expect_equal(scene.backend.ask_worker("w", request), True, f"what ask_worker says of {request.name}")
        expect_equal(there.do(request_of, "w"), request, "what it hears")
        rows = [row.state for row in scene.backend.list_workers() if row.id == "w"]
        expect_equal(rows, [state], f"its state after {request.name}")


def a_stop_is_for_good(scene: Scene) -> None:
    """A worker that was asked to stop cannot be asked for anything else."""
    there = scene.elsewhere()
    there.do(enter, "w")
    scene.backend.ask_worker("w", WorkerRequest.STOP)
    expect_equal(scene.backend.ask_worker("w", WorkerRequest.RUN), False, "what ask_worker says")
    expect_equal(scene.backend.ask_worker("w", WorkerRequest.STOP), True, "what it says once more")
    expect_equal(there.do(request_of, "w"), WorkerRequest.STOP, "what it hears")


def one_that_is_not_there(scene: Scene) -> None:
    """A worker that is not there, or dead, cannot be asked; another of its name was not."""
    there = scene.elsewhere()
    expect_equal(scene.backend.ask_worker("w", WorkerRequest.STOP), False, "of one that never was")
    there.do(enter, "w")
    scene.backend.ask_worker("w", WorkerRequest.PAUSE)
    there.kill()
    expect_equal(scene.backend.ask_worker("w", WorkerRequest.STOP), False, "of a dead one")
    again = scene.elsewhere()
    again.do(enter, "w")
    expect_equal(again.do(request_of, "w"), WorkerRequest.RUN, "what the next one hears")
    again.do(leave, "w")
    expect_equal(scene.backend.ask_worker("w", WorkerRequest.STOP), False, "of one that left")


CHECKS = [
    *proves("AskWorker", it_hears_it, uses=["ListWorkers"]),
    *proves("AskWorker", a_stop_is_for_good, one_that_is_not_there),
]
