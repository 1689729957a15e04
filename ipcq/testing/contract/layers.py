"""How a worker tells how a run ended, whatever stands between it and its handler."""

from __future__ import annotations

from typing import Any

from ...errors import Abort, HandlerNotFound
from ...layer import CallNext
from ...status import Status
from ...task import Task
from ..acts import run_worker, seen, status_of, total
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises, expect_some
from ..scene import Scene

# --- what the workers elsewhere run ---------------------------------------------------------------


def echo(args: Any) -> Any:
    """Return what came."""
    return args


def misbehave(args: str) -> Any:
    """End in the way that the arguments name."""
    if args == "raise":
        raise ValueError("boom")
    if args == "abort":
        raise Abort("not again")
    if args == "exit":
        raise SystemExit(3)
    return object() if args == "unencodable" else args


def failing(_task: Task[Any], _context: Any, _call_next: CallNext) -> Any:
    """A layer that raises instead of calling what is inside."""
    raise RuntimeError("the layer broke")


def failing_afterwards(task: Task[Any], context: Any, call_next: CallNext) -> Any:
    """A layer that raises when the handler has returned."""
    call_next(task, context)
    raise RuntimeError("the layer broke")


def swallowing(task: Task[Any], context: Any, call_next: CallNext) -> Any:
    """A layer that makes a value of an error."""
    try:
        return call_next(task, context)
    except ValueError:
        return "swallowed"


HANDLERS = __name__


# --- the checks -----------------------------------------------------------------------------------


def a_whole_worker(scene: Scene) -> None:
    """A whole `Worker` in another process runs the tasks of the queue, and their values come back."""
    ids = scene.backend.push_bulk(range(5))
    expect_equal(scene.elsewhere().do(run_worker, f"{HANDLERS}:echo"), 5, "how many it ran")
    values = [result.value for result in scene.backend.wait_for(ids, PATIENCE)]
    expect_equal(values, list(range(5)), "values")


def acknowledged_outside_of_layers(scene: Scene) -> None:
    """A layer that fails, before or after the handler, leaves no task RUNNING: it failed."""
    there = scene.elsewhere()
    for layer in (failing, failing_afterwards):
        task_id = scene.backend.push(1)
        there.do(run_worker, f"{HANDLERS}:echo", layer)
        task = scene.here.do(seen, task_id)
        expect_equal((task.status, task.attempts), (Status.KILLED, 1), f"with the layer {layer.__name__}")
        error = expect_some(scene.backend.wait(task_id, PATIENCE).error, "it has no error")
        expect_equal(error.message, "the layer broke", "its error")


def what_a_layer_makes_of_it(scene: Scene) -> None:
    """A layer that swallows an error decides: the task is DONE with what the layer returned."""
    task_id = scene.backend.push("raise")
    scene.elsewhere().do(run_worker, f"{HANDLERS}:misbehave", swallowing)
    expect_equal(scene.backend.wait(task_id, PATIENCE).unwrap(), "swallowed", "its value")


def a_failure_is_never_done(scene: Scene) -> None:
    """A run that raised, was aborted, exited or gave what cannot be stored is never DONE."""
    there = scene.elsewhere()
    ways = ["raise", "abort", "exit", "unencodable"]
    ids = scene.backend.push_bulk(ways)
    there.do(run_worker, f"{HANDLERS}:misbehave")
    for args, task_id in zip(ways, ids, strict=True):
        expect_equal(scene.here.do(status_of, task_id), Status.KILLED, f"the status after {args!r}")
        result = scene.backend.wait(task_id, PATIENCE)
        expect(result.error is not None and result.value is None, f"the result after {args!r}: {result}")


def attempts_are_counted(scene: Scene) -> None:
    """A task that fails is run as often as it may be, and then KILLED; `Abort` ends it at once."""
    there = scene.elsewhere()
    again = scene.backend.push("raise", max_attempts=3)
    aborted = scene.backend.push("abort", max_attempts=3)
    expect_equal(there.do(run_worker, f"{HANDLERS}:misbehave"), 4, "runs")
    told = [(task.status, task.attempts) for task in (there.do(seen, again), there.do(seen, aborted))]
    expect_equal(told, [(Status.KILLED, 3), (Status.KILLED, 1)], "status and attempts")


def a_handler_that_is_not_there(scene: Scene) -> None:
    """A worker whose handler is not there says so before it takes a task."""
    scene.backend.push(1)
    there = scene.elsewhere()
    expect_raises(HandlerNotFound, there.do, run_worker, f"{HANDLERS}:no_such_function")
    expect_equal(there.do(total, Status.PENDING), 1, "tasks that wait")


CHECKS = [
    *proves("Backend", a_whole_worker, uses=["WaitForCompletion"]),
    *proves(
        "Backend",
        acknowledged_outside_of_layers,
        a_failure_is_never_done,
        uses=["FetchById", "WaitForCompletion"],
        slow=True,
    ),
    *proves("Backend", what_a_layer_makes_of_it, uses=["WaitForCompletion"]),
    *proves("Backend", attempts_are_counted, uses=["FetchById"]),
    *proves("Backend", a_handler_that_is_not_there, uses=["ListTasks"]),
]
