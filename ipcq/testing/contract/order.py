"""In which order tasks are handed out."""

from __future__ import annotations

import time

from ..acts import ask, enter, fail, take, work
from ..check import proves
from ..expecting import expect, expect_equal
from ..scene import Scene

_SOON = 0.3  # seconds; long enough to look before, short enough to wait for


def first_in_first_out(scene: Scene) -> None:
    """Tasks of one priority are handed out in the order in which they were accepted."""
    scene.backend.push_bulk(range(20))
    expect_equal(scene.elsewhere().do(work, 20), list(range(20)), "order of hand-out")


def acceptance_counts_across_producers(scene: Scene) -> None:
    """Tasks of several producers are handed out in the order in which they were accepted."""
    there = scene.elsewhere()
    for number in range(0, 10, 2):
        scene.backend.push(number)
        there.do(ask, "push", number + 1)
    expect_equal(scene.elsewhere().do(work, 10), list(range(10)), "order of hand-out")


def higher_priority_first(scene: Scene) -> None:
    """A task of a higher priority is handed out first, and within a priority the one accepted first."""
    for priority in (0, -7, 8, 3, 0, 8):
        scene.backend.push([priority, priority], priority=priority)
    order = [args[0] for args in scene.elsewhere().do(work, 6)]
    expect_equal(order, [8, 8, 3, 0, 0, -7], "priorities in the order of hand-out")


def priority_counts_at_each_hand_out(scene: Scene) -> None:
    """What is pushed later with a higher priority is the next one that is handed out."""
    there = scene.elsewhere()
    scene.backend.push_bulk([1, 2])
    expect_equal(there.do(work, 1), [1], "the first one")
    scene.backend.push("urgent", priority=5)
    expect_equal(there.do(work, 2), ["urgent", 2], "what came then")


def a_delayed_task_waits_until_it_is_due(scene: Scene) -> None:
    """A task with a moment to run at is handed out at that moment, and not before."""
    there = scene.elsewhere()
    run_at = time.time() + _SOON
    scene.backend.push("later", run_at=run_at)
    scene.backend.push("now")
    expect_equal(there.do(work, 2), ["now", "later"], "order of hand-out")
    expect(time.time() >= run_at - 0.001, f"it came {run_at - time.time():.3f} s too early")
    expect(time.time() < run_at + 2, f"it came {time.time() - run_at:.1f} s late")


def a_retry_waits_until_it_is_due(scene: Scene) -> None:
    """A failed run is due again after the delay that it asked for, and not before."""
    there = scene.elsewhere()
    task_id = scene.backend.push("again", max_attempts=2)
    there.do(take)
    run_at = time.time() + _SOON
    there.do(fail, task_id, retry_in=_SOON)
    scene.backend.push("meanwhile")
    expect_equal(there.do(work, 2), ["meanwhile", "again"], "order of hand-out")
    expect(time.time() >= run_at - 0.001, f"it came {run_at - time.time():.3f} s too early")


def held_ahead_in_order(scene: Scene) -> None:
    """A worker that holds tasks ahead runs them in their order, and so does who gets them back."""
    scene.backend.push_bulk(range(6))
    there = scene.elsewhere()
    there.do(enter, prefetch=3)
    expect_equal(there.do(work, 2), [0, 1], "the first two")
    there.close()
    expect_equal(scene.here.do(work, 4), [2, 3, 4, 5], "the others")


CHECKS = [
    *proves(
        "Backend",
        first_in_first_out,
        acceptance_counts_across_producers,
        higher_priority_first,
        priority_counts_at_each_hand_out,
        a_delayed_task_waits_until_it_is_due,
        a_retry_waits_until_it_is_due,
        held_ahead_in_order,
    )
]
