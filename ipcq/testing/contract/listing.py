"""What a board shows of queues."""

from __future__ import annotations

from ...expose import Filter, QueueInfo
from ...status import Status
from ..acts import ask, enter, seen, work
from ..check import proves
from ..expecting import expect, expect_equal
from ..scene import Scene
from .statuses import in_every_status


def _info(scene: Scene) -> QueueInfo:
    found = [info for info in scene.backend.list_queues() if info.name == scene.backend.queue]
    expect_equal(len(found), 1, f"queues of the name {scene.backend.queue!r} in the list")
    return found[0]


def this_one_among_all(scene: Scene) -> None:
    """A queue is listed once, with its live workers."""
    scene.elsewhere().do(enter, "listed")
    expect_equal(_info(scene).workers, ("listed",), "its workers")
    names = [info.name for info in scene.backend.list_queues()]
    expect_equal(names, sorted(names), "queues by name")


def not_the_dead(scene: Scene) -> None:
    """A killed worker is not among a queue's live workers."""
    there = scene.elsewhere()
    there.do(enter, "mortal")
    there.kill()
    expect_equal(_info(scene).workers, (), "its workers")


def activity_of_seven_days(scene: Scene) -> None:
    """Activity is 7 numbers, oldest first, 0 on days without any; what finished today is in the last one."""
    there = scene.elsewhere()
    expect_equal(_info(scene).activity, (0,) * 7, "activity of a new queue")
    scene.backend.push_bulk(range(3))
    there.do(work, 3)
    expect_equal(_info(scene).activity, (0, 0, 0, 0, 0, 0, 3), "activity after three tasks")


def figures_of_each(scene: Scene) -> None:
    """A queue is listed with its figures, how many tasks are in each status among them."""
    in_every_status(scene)
    figures = {figure.title: figure.value for figure in _info(scene).stats}
    for status in (Status.PENDING, Status.RUNNING, Status.DONE, Status.FAILED, Status.KILLED):
        expect_equal(figures.get(f"{status.name}_JOBS"), 1, f"{status.name}_JOBS")


def tasks_of_all_queues(scene: Scene) -> None:
    """Tasks of all queues are listed newest first, each with the name of its queue, page by page."""
    ids = scene.elsewhere().do(ask, "push_bulk", range(12))
    listed = []
    for number in (1, 2):
        page = scene.backend.list_all_tasks(Filter(page=number, page_size=500))
        listed += [task.id for task in page.items if task.queue == scene.backend.queue]
    expect_equal(listed, ids[::-1], "ids of this queue")
    expect_equal(len(scene.backend.list_all_tasks(Filter(page_size=5)).items), 5, "tasks of a page of 5")


def payloads_are_not_decoded(scene: Scene) -> None:
    """What is listed of all queues are bytes: the payloads as they were stored."""
    task_id = scene.elsewhere().do(ask, "push", {"a": 1})
    (task,) = [t for t in scene.backend.list_all_tasks(Filter(page_size=1000)).items if t.id == task_id]
    expect(isinstance(task.args, (bytes, memoryview)), f"arguments are {type(task.args).__name__}, not bytes")
    expect_equal(scene.here.do(seen, task_id).args, {"a": 1}, "the same task, decoded")


def all_of_a_status(scene: Scene) -> None:
    """A list of all queues' tasks can be of one status; None means all."""
    found = in_every_status(scene)
    queue = scene.backend.queue

    def ids(status: Status | None) -> set[object]:
        page = scene.backend.list_all_tasks(Filter(status=status, page_size=1000))
        return {task.id for task in page.items if task.queue == queue}

    for status in Status:
        expect_equal(ids(status), {found[status]}, f"what {status.name} lists")
    expect_equal(ids(None), set(found.values()), "what no status lists")


CHECKS = [
    *proves(
        "ListQueues",
        this_one_among_all,
        not_the_dead,
        activity_of_seven_days,
        figures_of_each,
        uses=["ConfigExt"],
    ),
    *proves("ListAllTasks", tasks_of_all_queues, all_of_a_status, uses=["ConfigExt"]),
    *proves("ListAllTasks", payloads_are_not_decoded, uses=["FetchById"]),
]
