"""Tasks of different types in one queue."""

from __future__ import annotations

from ..acts import ask, push_weakly, total, work
from ..check import proves
from ..expecting import expect_equal
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


CHECKS = [
    *proves("WeakTaskSink", any_types_in_one_queue),
    *proves("WeakTaskSink", the_same_queue_as_ever, uses=["ListTasks"]),
]
