"""Closing a queue and opening it again."""

from __future__ import annotations

from ...errors import QueueClosed
from ...status import Status
from ...task import Queue
from ..acts import ask, enter, seen, status_of, take, work
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..scene import Scene
from ..stage import Stage


def settings_of(stage: Stage) -> tuple[str, dict[str, object]]:
    """Name and settings of the queue."""
    return str(stage.backend.queue), dict(stage.backend.config)


def the_same_name_and_settings(scene: Scene) -> None:
    """A queue has a valid name and settings, and every process that opens it reads the same ones."""
    queue = scene.backend.queue
    expect(isinstance(queue, Queue) and Queue(queue) == queue, f"{queue!r} is no Queue")
    expect_equal(scene.elsewhere().do(settings_of), scene.here.do(settings_of), "name and settings")


def tasks_stay(scene: Scene) -> None:
    """Tasks and results stay when the process that pushed them closes the queue."""
    there = scene.elsewhere()
    done, pending = there.do(ask, "push_bulk", ["done", "pending"])
    there.do(work, 1)
    there.close()
    expect_equal(scene.backend.wait(done, PATIENCE).value, "done", "the result")
    task = scene.elsewhere().do(seen, pending)
    expect_equal((task.status, task.args), (Status.PENDING, "pending"), "the task")


def a_closed_one_says_so(scene: Scene) -> None:
    """A backend that was closed raises QueueClosed, may be closed again, and others go on."""
    there = scene.elsewhere()
    there.do(ask, "push", 1)
    there.do(ask, "close")
    there.do(ask, "close")
    expect_raises(QueueClosed, there.do, ask, "push", 2)
    expect_raises(QueueClosed, there.do, ask, "register_worker", "worker")
    expect_equal(scene.here.do(work, 1), [1], "what others get")


def closing_gives_back(scene: Scene) -> None:
    """Closing a backend gives back what its workers ran and held in this process, nothing charged."""
    ids = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    there.do(enter, prefetch=2)
    there.do(take)
    there.do(ask, "close")
    expect_equal([scene.here.do(status_of, i) for i in ids], [Status.PENDING] * 2, "statuses")
    expect_equal(scene.here.do(seen, ids[0]).deaths, 0, "deaths charged")


CHECKS = [
    *proves("ConfigExt", the_same_name_and_settings),
    *proves("Backend", tasks_stay, uses=["FetchById", "WaitForCompletion"]),
    *proves("Backend", a_closed_one_says_so),
    *proves("Backend", closing_gives_back, uses=["FetchById"]),
]
