"""How far runs are: who sees it, and when it is gone."""

from __future__ import annotations

from math import inf, nan
from typing import Any

from ...backend import Completions
from ...errors import WaitTimeout
from ...expose import Filter
from ...status import Status
from ...task import Progress, TaskId
from ...worker import Worker, WorkerContext
from ..acts import ask, fail, finish, give_back, seen, take, tell
from ..check import proves
from ..expecting import PATIENCE, expect, expect_equal, expect_raises
from ..scene import Scene


def seen_by_another_process(scene: Scene) -> None:
    """What a run tells of itself is seen by other processes while it runs; the last that it told counts."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take)
    expect_equal(scene.here.do(seen, task_id).progress, None, "how far it is before it tells")
    for told in (Progress(3, 10), Progress(10, 10), Progress(0.5), Progress(7, 3), Progress(0, 0)):
        there.do(tell, task_id, *told)
        expect_equal(scene.here.do(seen, task_id).progress, told, "how far it is")
        expect_equal(dict(scene.backend.running_progress()[1]), {task_id: told}, "what all runs told")
    there.do(finish, task_id)
    expect_equal(scene.here.do(seen, task_id).progress, None, "how far it is when it is finished")
    expect_equal(dict(scene.backend.running_progress()[1]), {}, "what all runs told then")


def in_listings(scene: Scene) -> None:
    """Listings show how far runs are, those of all queues, too."""
    told, other = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    for _ in range(2):
        there.do(take)
    there.do(tell, told, 1, 4)
    for call in ("list_tasks", "list_all_tasks"):
        tasks = scene.here.do(ask, call, filter=Filter(page_size=1000)).items  # other queues' too
        shown = {task.id: task.progress for task in tasks if task.id in (told, other)}
        expect_equal(shown, {told: Progress(1, 4), other: None}, f"what {call} shows")


def nothing_new_is_told_cheaply(scene: Scene) -> None:
    """Who asks what was told since an earlier answer gets all that is told, once anything is."""
    ids = scene.backend.push_bulk([1, 2])
    there = scene.elsewhere()
    for _ in ids:
        there.do(take)
    there.do(tell, ids[0], 1)
    since, first = scene.backend.running_progress()
    there.do(tell, ids[1], 2)
    later, second = scene.backend.running_progress(since)
    expect_equal(dict(first), {ids[0]: Progress(1)}, "the first answer")
    expect_equal(dict(second), {ids[0]: Progress(1), ids[1]: Progress(2)}, "the second answer")
    expect(later != since, "both answers have the same number")


def gone_with_its_run(scene: Scene) -> None:
    """A task that is given back, or is run again, is no further than the present run has told."""
    task_id = scene.backend.push(1, max_attempts=2)
    there = scene.elsewhere()
    for end in (give_back, fail):
        there.do(take)
        expect_equal(scene.here.do(seen, task_id).progress, None, "how far a new run is")
        there.do(tell, task_id, 1, 2)
        there.do(end, task_id)
        expect_equal(scene.here.do(seen, task_id).progress, None, "how far it is when it waits")
    there.do(take)
    expect_equal(scene.here.do(seen, task_id).progress, None, "how far the last run is")


def gone_with_its_process(scene: Scene) -> None:
    """What a killed worker told is gone when its task is returned, and when it is run again."""
    task_id = scene.backend.push(1)
    there, heir = scene.elsewhere(), scene.elsewhere()
    there.do(take, "the-dead")
    there.do(tell, task_id, 1, 2)
    there.kill()
    scene.backend.resume_abandoned()
    expect_equal(scene.here.do(seen, task_id).progress, None, "how far it is when it is returned")
    heir.do(take, "heir")
    expect_equal(scene.here.do(seen, task_id).progress, None, "how far the new run is")
    heir.do(tell, task_id, 2, 2)
    expect_equal(scene.here.do(seen, task_id).progress, Progress(2, 2), "what the new run tells")


def a_lost_lease_changes_nothing(scene: Scene) -> None:
    """What a worker tells of a task that is another's by now does nothing, and is no error."""
    task_id = scene.backend.push(1)
    slow, quick = scene.elsewhere(), scene.elsewhere()
    slow.do(take, "slow")
    slow.do(tell, task_id, 1, 10)
    scene.backend.reschedule(task_id, 0.0, force=True)
    slow.do(tell, task_id, 2, 10)
    quick.do(take, "quick")
    slow.do(tell, task_id, 3, 10)
    expect_equal(scene.here.do(seen, task_id).progress, None, "how far the other's run is")
    quick.do(tell, task_id, 4, 10)
    slow.do(tell, task_id, 5, 10)
    expect_equal(scene.here.do(seen, task_id).progress, Progress(4, 10), "what the other told")
    quick.do(finish, task_id, "done")
    slow.do(tell, task_id, 6, 10)
    expect_equal(scene.here.do(seen, task_id).status, Status.DONE, "its status")
    expect_equal(scene.backend.wait(task_id, PATIENCE).value, "done", "the result")


def told_to_who_waits(scene: Scene) -> None:
    """Who waits with ``on_progress`` is told, step by step, and then gets the result."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take)
    there.do(tell, task_id, 1, 3)
    told: list[tuple[TaskId, Progress]] = []

    def next_step(which: TaskId, progress: Progress) -> None:
        told.append((which, progress))
        if progress.done < 3:
            there.do(tell, task_id, progress.done + 1, 3)
        else:
            there.do(finish, task_id, "result")

    result = scene.backend.wait(task_id, PATIENCE, on_progress=next_step)
    expect_equal(told, [(task_id, Progress(n, 3)) for n in (1, 2, 3)], "what was told")
    expect_equal(result.value, "result", "the result")


def of_what_is_awaited_once(scene: Scene) -> None:
    """Only tasks that are awaited are told, ones added later, too; and what stays the same is told once."""
    first, second, other = scene.backend.push_bulk(range(3))
    there = scene.elsewhere()
    for _ in range(3):
        there.do(take)
    for task_id in (first, second, other):
        there.do(tell, task_id, 1)
    told: list[TaskId] = []
    waiting: Completions = scene.backend.wait_for(
        [first], PATIENCE, on_progress=lambda which, _: told.append(which)
    )
    expect_equal(waiting.ready(0.6), [], "results")
    expect_equal(told, [first], "what was told")
    waiting.add([second])
    there.do(tell, other, 2)
    expect_equal(waiting.ready(0.6), [], "results, later")
    expect_equal(told, [first, second], "what was told, later")


def what_it_raises_is_raised(scene: Scene) -> None:
    """What ``on_progress`` raises comes out of the wait, which can be gone on with."""
    task_id = scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take)
    there.do(tell, task_id, 1)

    def refuse(_task_id: TaskId, _progress: Progress) -> None:
        raise KeyError("enough")

    waiting = scene.backend.wait_for([task_id], PATIENCE, on_progress=refuse)
    expect_raises(KeyError, next, waiting)
    there.do(finish, task_id, "result")
    expect_equal(next(waiting).value, "result", "the result")
    expect_raises(WaitTimeout, scene.backend.wait, scene.backend.push(2), 0.1, on_progress=refuse)


def by_the_context(scene: Scene) -> None:
    """A handler tells it by its `WorkerContext`; numbers that are none are a ValueError there."""
    task_id = scene.backend.push(4)
    found: list[Any] = []

    def handler(total: float, context: WorkerContext) -> None:
        for bad in ((nan, 1), (-1, 1), (1, nan), (inf, None), (1, -1)):
            expect_raises(ValueError, context.progress, *bad)
        context.progress(1, total)
        found.append(scene.here.do(seen, task_id).progress)

    Worker("whole", scene.backend, handler).run(until_empty=True)
    expect_equal(found, [Progress(1, 4)], "what was seen while it ran")


CHECKS = [
    *proves("ShowProgress", seen_by_another_process, gone_with_its_run, by_the_context, uses=["FetchById"]),
    *proves("ShowProgress", nothing_new_is_told_cheaply),
    *proves("ShowProgress", in_listings, uses=["ListTasks", "ListAllTasks"]),
    *proves("ShowProgress", gone_with_its_process, uses=["FetchById", "ResumeAbandoned"]),
    *proves(
        "ShowProgress",
        a_lost_lease_changes_nothing,
        uses=["FetchById", "Reschedule", "WaitForCompletion"],
    ),
    *proves("ShowProgress", told_to_who_waits, what_it_raises_is_raised, uses=["WaitForCompletion"]),
    *proves("ShowProgress", of_what_is_awaited_once, uses=["WaitForCompletion"], slow=True),
]
