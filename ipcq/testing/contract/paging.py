"""Lists of tasks, a page at a time."""

from __future__ import annotations

from ...errors import QueueNotFound
from ...expose import Filter
from ...status import Status
from ...task import TaskId
from ..acts import ask, fail, finish, take
from ..check import proves
from ..expecting import expect, expect_equal, expect_raises, expect_some
from ..scene import Scene
from .statuses import in_every_status


def no_page_before_the_first(scene: Scene) -> None:
    """Page 0, and pages of no or of more than 1000 tasks, are a ValueError."""
    scene.elsewhere().do(ask, "push", 1)
    for page, size in ((0, 10), (-1, 10), (1, 0), (1, 1001)):
        expect_raises(ValueError, lambda p=page, s=size: scene.backend.list_tasks(filter=Filter(None, p, s)))
    expect_equal(scene.backend.list_tasks(filter=Filter(page_size=1000)).total, 1, "the largest page")


def newest_first(scene: Scene) -> None:
    """Pages list tasks newest first, each task once, with the number of all of them on every page."""
    ids = scene.elsewhere().do(ask, "push_bulk", range(25))
    pages = [scene.backend.list_tasks(filter=Filter(page=n, page_size=10)) for n in (1, 2, 3, 4)]
    listed = [task.id for page in pages for task in page.items]
    expect_equal(listed, ids[::-1], "ids in the order of the pages")
    expect_equal([len(page.items) for page in pages], [10, 10, 5, 0], "tasks on each page")
    told = [(page.page, page.page_size, page.total) for page in pages]
    expect_equal(told, [(n, 10, 25) for n in (1, 2, 3, 4)], "what pages tell of themselves")


def none_means_all(scene: Scene) -> None:
    """A filter without a status lists tasks of every status; one with a status lists those."""
    found = in_every_status(scene)
    everything = scene.backend.list_tasks(filter=Filter(page_size=100))
    expect_equal({task.id for task in everything.items}, set(found.values()), "what no status lists")
    for status in Status:
        page = scene.backend.list_tasks(filter=Filter(status=status))
        expect_equal([task.id for task in page.items], [found[status]], f"what {status.name} lists")
        expect_equal(page.total, 1, f"the total of {status.name}")


def without_a_filter(scene: Scene) -> None:
    """A listing without a filter is the first page of ten."""
    scene.elsewhere().do(ask, "push_bulk", range(12))
    page = scene.backend.list_tasks()
    expect_equal((len(page.items), page.page, page.page_size, page.total), (10, 1, 10, 12), "the page")


def of_one_worker(scene: Scene) -> None:
    """A filter with a worker lists what that worker has."""
    scene.backend.push_bulk(range(3))
    there = scene.elsewhere()
    mine = [there.do(take, "one").id, there.do(take, "one").id]
    there.do(take, "two")
    page = scene.backend.list_tasks(filter=Filter(worker="one"))
    expect_equal(sorted(task.id for task in page.items), sorted(mine), "what it has")
    expect_equal(scene.backend.list_tasks(filter=Filter(worker="nobody")).total, 0, "what nobody has")


def all_parts(scene: Scene) -> None:
    """A listed task has its parts and arguments."""
    task_id = scene.elsewhere().do(ask, "push", {"a": 1}, priority=3, max_attempts=4, metadata={"k": "v"})
    (task,) = scene.backend.list_tasks(scene.backend.queue).items
    told = task.id, task.queue, task.args, task.priority, task.max_attempts, dict(task.metadata)
    expect_equal(told, (task_id, scene.backend.queue, {"a": 1}, 3, 4, {"k": "v"}), "the task")


def an_unknown_queue(scene: Scene) -> None:
    """The tasks of a queue that is not there are QueueNotFound."""
    there = scene.elsewhere()
    expect_raises(QueueNotFound, there.do, ask, "list_tasks", "there-is-no-such-queue")


def by_its_id(scene: Scene) -> None:
    """A task is found by its id, or the id's text, in whatever status, by any process."""
    there = scene.elsewhere()
    for status, task_id in in_every_status(scene).items():
        expect_equal(there.do(ask, "fetch_by_id", task_id).status, status, "status by id")
        expect_equal(there.do(ask, "fetch_by_id", str(task_id)).id, task_id, "id by text")


def an_unknown_id(scene: Scene) -> None:
    """A task that is not there is None; what is no id is a ValueError."""
    there = scene.elsewhere()
    expect_equal(there.do(ask, "fetch_by_id", TaskId.new()), None, "what an unknown id gives")
    expect_raises(ValueError, there.do, ask, "fetch_by_id", "no id")


def what_it_went_through(scene: Scene) -> None:
    """A task tells how many runs it had, and when it was accepted and ended."""
    task_id = scene.backend.push(1, max_attempts=3)
    there = scene.elsewhere()
    there.do(take)
    there.do(fail, task_id)
    there.do(take)
    there.do(finish, task_id)
    task = expect_some(scene.backend.fetch_by_id(task_id), "the task is gone")
    done_at = expect_some(task.done_at, "it has no moment of its end")
    expect_equal((task.status, task.attempts, task.deaths), (Status.DONE, 2, 0), "status, attempts, deaths")
    expect(
        0 <= done_at - task.created_at < 60, f"it ended {done_at - task.created_at} s after it was accepted"
    )


CHECKS = [
    *proves("ListTasks", no_page_before_the_first, newest_first, without_a_filter, of_one_worker),
    *proves("ListTasks", none_means_all),
    *proves("ListTasks", all_parts, an_unknown_queue, uses=["ConfigExt"]),
    *proves("FetchById", by_its_id, an_unknown_id, what_it_went_through),
]
