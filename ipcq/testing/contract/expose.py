"""What a board needs of a backend."""

from __future__ import annotations

from ...expose import Expose, ListAllTasks, ListQueues, ListTasks, ListWorkers, Metrics
from ...sink import TaskSink
from ..acts import ask
from ..capabilities import PARTS
from ..check import proves
from ..expecting import expect, expect_equal
from ..scene import Scene
from ..stage import Stage


def is_exposed(stage: Stage) -> list[str]:
    """Which of Expose and its parts the backend is an instance of."""
    parts = (Expose, ListAllTasks, ListQueues, ListTasks, ListWorkers, Metrics, TaskSink)
    return [part.__name__ for part in parts if isinstance(stage.backend, part)]


def can_be_asked_for(scene: Scene) -> None:
    """A backend with all that a board needs is an instance of Expose, in every process that opens it."""
    expect(PARTS["Expose"] <= scene.backend.capabilities(), "it names Expose, and not all of its parts")
    for told in (scene.here.do(is_exposed), scene.elsewhere().do(is_exposed)):
        expect_equal(sorted(told), sorted([*PARTS["Expose"], "Expose"]), "what it is an instance of")


def the_same_to_every_board(scene: Scene) -> None:
    """Two boards in two processes see the same tasks, workers and queues."""
    there = scene.elsewhere()
    ids = there.do(ask, "push_bulk", range(3))
    expect_equal([task.id for task in scene.backend.list_tasks().items], ids[::-1], "tasks here")
    expect_equal([task.id for task in there.do(ask, "list_tasks").items], ids[::-1], "tasks there")
    names = [info.name for info in scene.backend.list_queues()]
    expect_equal([info.name for info in there.do(ask, "list_queues")], names, "queues there")


CHECKS = proves("Expose", can_be_asked_for, the_same_to_every_board)
