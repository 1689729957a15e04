"""Figures about a queue."""

from __future__ import annotations

import time
from math import inf

from ...errors import QueueNotFound
from ...expose import Statistic, StatType
from ..acts import ask, fail, finish, take, work
from ..check import proves
from ..expecting import expect, expect_equal, expect_raises
from ..scene import Scene
from .statuses import in_every_status

TITLES = {
    "RUNNING_JOBS", "PENDING_JOBS", "FAILED_JOBS", "KILLED_JOBS", "DONE_JOBS", "TOTAL_JOBS", "SUCCESS_RATE",
    "JOBS_PAST_HOUR", "AVG_JOB_DURATION", "OLDEST_PENDING_JOB", "MOST_RECENT_JOB", "QUEUE_BACKLOG",
    "RECOVERED_TASKS", "BYTES_IN_USE",
}  # fmt: skip


def _figures(scene: Scene) -> dict[str, Statistic]:
    """By title, as another process sees them."""
    figures: list[Statistic] = scene.elsewhere().do(ask, "queue_stats")
    return {figure.title: figure for figure in figures}


def all_titles(scene: Scene) -> None:
    """A queue has the figures of the specification, each once, with a type and a number for its value."""
    figures = scene.elsewhere().do(ask, "queue_stats")
    titles = [figure.title for figure in figures]
    expect_equal(sorted(TITLES - set(titles)), [], "titles that are missing")
    expect_equal(len(titles), len(set(titles)), "how many titles are different ones")
    for part in ("P50", "P95", "P99"):
        expect(sum(part in title for title in titles) >= 2, f"no {part} of wait and of run time")
    for figure in figures:
        expect(isinstance(figure.stat_type, StatType), f"{figure.title} has no type")
        expect(isinstance(figure.value, (int, float)), f"{figure.title} is {figure.value!r}")


def how_many_in_each_status(scene: Scene) -> None:
    """How many tasks are in each status is told as tasks move, to every process alike."""
    in_every_status(scene)
    figures = _figures(scene)
    for title in ("PENDING_JOBS", "RUNNING_JOBS", "DONE_JOBS", "FAILED_JOBS", "KILLED_JOBS"):
        expect_equal(figures[title].value, 1, title)
    expect_equal(figures["TOTAL_JOBS"].value, 6, "TOTAL_JOBS")
    here = {figure.title: figure.value for figure in scene.backend.queue_stats(scene.backend.queue)}
    for title in ("PENDING_JOBS", "DONE_JOBS", "TOTAL_JOBS"):
        expect_equal(here[title], figures[title].value, f"{title} in two processes")


def the_rate_of_success(scene: Scene) -> None:
    """SUCCESS_RATE is the share of DONE among the tasks that ended, in percent."""
    scene.backend.push_bulk(range(4))
    there = scene.elsewhere()
    there.do(work, 3)
    there.do(fail, there.do(take).id)
    rate = _figures(scene)["SUCCESS_RATE"]
    expect_equal((rate.stat_type, rate.value), (StatType.PERCENTAGE, 75.0), "SUCCESS_RATE of 3 in 4")


def durations_without_queue_time(scene: Scene) -> None:
    """How long runs took is without the time that tasks waited before, and the wait is without the run."""
    there = scene.elsewhere()
    task_id = scene.backend.push("waits long, runs short", run_at=time.time() + 0.5)
    there.do(take)
    there.do(finish, task_id)
    figures = _figures(scene)
    duration = figures["AVG_JOB_DURATION"].value
    expect(0 <= duration < 0.4, f"AVG_JOB_DURATION is {duration} s for a run that ended at once")


def how_long_a_run_takes(scene: Scene) -> None:
    """How long runs take is told in seconds."""
    there = scene.elsewhere()
    task_id = scene.backend.push("runs long")
    there.do(take)
    there.do(_wait, 0.3)
    there.do(finish, task_id)
    duration = _figures(scene)["AVG_JOB_DURATION"].value
    expect(0.29 < duration < 5, f"AVG_JOB_DURATION is {duration} s for a run of 0.3 s")


def _wait(_stage: object, seconds: float) -> None:
    time.sleep(seconds)  # the run that is measured


def what_was_recovered(scene: Scene) -> None:
    """RECOVERED_TASKS counts the tasks that were returned from dead workers."""
    scene.backend.push(1)
    there = scene.elsewhere()
    there.do(take)
    expect_equal(_figures(scene)["RECOVERED_TASKS"].value, 0, "before the death")
    there.kill()
    scene.backend.resume_abandoned()
    expect_equal(_figures(scene)["RECOVERED_TASKS"].value, 1, "after the death")


def of_all_queues(scene: Scene) -> None:
    """The figures of all queues together have the same titles, and count this one's tasks."""
    before = {figure.title: figure.value for figure in scene.elsewhere().do(ask, "global_stats")}
    scene.backend.push_bulk(range(5))
    after = {figure.title: figure.value for figure in scene.elsewhere().do(ask, "global_stats")}
    expect_equal(sorted(TITLES - set(after)), [], "titles that are missing")
    expect_equal(after["PENDING_JOBS"] - before["PENDING_JOBS"], 5, "PENDING_JOBS more than before")


def in_order_of_priority(scene: Scene) -> None:
    """Figures come in the order in which they are shown."""
    for call in ("queue_stats", "global_stats"):
        shown = [figure.priority for figure in scene.elsewhere().do(ask, call)]
        expect_equal(shown, sorted(shown), f"priorities of {call}")


def of_an_unknown_queue(scene: Scene) -> None:
    """The figures of a queue that is not there are QueueNotFound."""
    expect_raises(QueueNotFound, scene.elsewhere().do, ask, "queue_stats", "there-is-no-such-queue")


def bytes_in_use(scene: Scene) -> None:
    """BYTES_IN_USE grows with what is stored."""
    before = _figures(scene)["BYTES_IN_USE"].value
    scene.backend.push_bulk([b"x" * 100_000] * 5)
    after = _figures(scene)["BYTES_IN_USE"].value
    expect(after - before >= 500_000, f"500,000 bytes more, and BYTES_IN_USE grew by {after - before:g}")


def durations_by_class(scene: Scene) -> None:
    """Histograms count each run once, what it took and what its task waited, for every process alike."""
    there = scene.elsewhere()
    scene.backend.push_bulk(range(2))
    there.do(work, 2)
    task_id = scene.backend.push("runs long")
    there.do(take)
    there.do(_wait, 0.3)
    there.do(fail, task_id)
    found = scene.backend.queue_histograms()
    expect_equal(there.do(ask, "queue_histograms"), found, "the same in two processes")
    for title in ("RUN_TIME", "WAIT_TIME"):
        bounds, counts = zip(*found[title].buckets, strict=True)
        expect_equal((bounds[-1], counts[-1]), (inf, 3), f"{title}: all runs")
        expect_equal(list(bounds), sorted(set(bounds)), f"{title}: bounds grow")
        expect_equal(list(counts), sorted(counts), f"{title}: counts are those up to a bound")
    ran = found["RUN_TIME"]
    short = max(count for bound, count in ran.buckets if bound < 0.3)
    expect(short <= 2, f"a run of 0.3 s is among the {short} shorter ones")
    expect(0.29 < ran.sum < 5, f"runs took {ran.sum} s together, one of them 0.3 s")


def durations_stay(scene: Scene) -> None:
    """What was counted stays counted when its tasks are removed."""
    scene.backend.push_bulk(range(3))
    scene.elsewhere().do(work, 3)
    before = scene.backend.queue_histograms()
    scene.elsewhere().do(ask, "vacuum")
    expect_equal(scene.backend.queue_histograms(), before, "after vacuum()")


def durations_of_an_unknown_queue(scene: Scene) -> None:
    """The histograms of a queue that is not there are QueueNotFound."""
    expect_raises(QueueNotFound, scene.elsewhere().do, ask, "queue_histograms", "there-is-no-such-queue")


CHECKS = [
    *proves(
        "Metrics",
        all_titles,
        the_rate_of_success,
        durations_without_queue_time,
        how_long_a_run_takes,
        of_all_queues,
        in_order_of_priority,
        of_an_unknown_queue,
        bytes_in_use,
    ),
    *proves("Metrics", how_many_in_each_status, uses=["ConfigExt"]),
    *proves("Metrics", what_was_recovered, uses=["ResumeAbandoned"]),
    *proves("Histograms", durations_by_class, durations_of_an_unknown_queue),
    *proves("Histograms", durations_stay, uses=["Vacuum"]),
]
