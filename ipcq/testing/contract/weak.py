"""Tasks of different types in one queue."""

from __future__ import annotations

from dataclasses import dataclass

from ...status import Status
from ...worker import Router
from ..acts import ask, push_weakly, run_worker, total, work
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal
from ..scene import Scene


def any_types_in_one_queue(scene: Scene) -> None:
    """Objects of different types go into one queue, from several processes, and come out in order."""
    there = scene.elsewhere()
    scene.backend.weak().push(1)
    there.do(push_weakly, "text")
    scene.backend.weak().push({"a": 1}, "a-tag", priority=0)
    expect_equal(there.do(work, 3), [1, "text", {"a": 1}], "what came out")


def the_same_queue_as_ever(scene: Scene) -> None:
    """What is pushed with a type and without one are tasks of the same queue."""
    scene.elsewhere().do(ask, "push", "plain")
    scene.backend.weak().push("typed", str)
    expect_equal(scene.elsewhere().do(total), 2, "tasks in the queue")
    expect_equal(scene.elsewhere().do(work, 2), ["plain", "typed"], "what came out")


@dataclass(frozen=True)
class Point:
    """Arguments with a class of their own."""

    x: int
    y: int


def length(point: Point) -> int:
    """The squared length of a point."""
    return point.x * point.x + point.y * point.y


def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


ROUTER = Router({Point: f"{__name__}:length", "double": f"{__name__}:double"})


def each_type_has_its_handler(scene: Scene) -> None:
    """A worker's `Router` gives each task to the handler of its type, by the tag that travels with it."""
    sink = scene.backend.weak()
    ids = [sink.push(Point(3, 4)), sink.push(21, "double"), sink.push({"x": 1, "y": 2}, Point)]
    scene.elsewhere().do(run_worker, ROUTER)
    values = [scene.backend.wait(task_id, PATIENCE).unwrap() for task_id in ids]
    expect_equal(values, [25, 42, 5], "values")


def a_type_that_nobody_knows(scene: Scene) -> None:
    """A task of a type without a handler is KILLED with that reason, and the worker goes on."""
    unknown = scene.backend.weak().push(1, "unheard-of", max_attempts=3)
    known = scene.backend.weak().push(1, "double")
    expect_equal(scene.elsewhere().do(run_worker, ROUTER), 2, "how many tasks the worker ran")
    result = scene.backend.wait(unknown, PATIENCE)
    expect_equal(result.status, Status.KILLED, "the status of the unknown one")
    expect("unheard-of" in str(result.error), f"the reason does not name the type: {result.error}")
    expect_equal(scene.backend.wait(known, PATIENCE).unwrap(), 2, "the value of the other one")


CHECKS = [
    *proves("WeakTaskSink", any_types_in_one_queue),
    *proves(
        "WeakTaskSink",
        each_type_has_its_handler,
        a_type_that_nobody_knows,
        uses=["WaitForCompletion"],
        slow=True,
    ),
    *proves("WeakTaskSink", the_same_queue_as_ever, uses=["ListTasks"]),
]
