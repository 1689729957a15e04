"""The same calls on every backend give the same answers, whatever lies beneath."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ipcq import ErrorInfo, Filter, IpcqError, Progress, Status, Task, TaskId, TaskResult
from ipcq.testing.columns import COLUMNS

NEEDED = {
    "FetchById",
    "Reschedule",
    "ResumeById",
    "Cancel",
    "Update",
    "Vacuum",
    "WaitForCompletion",
    "Metrics",
}
HOUR = 3600.0
COUNTED = {
    "PENDING_JOBS", "QUEUED_JOBS", "RUNNING_JOBS", "DONE_JOBS", "FAILED_JOBS", "KILLED_JOBS", "TOTAL_JOBS",
    "QUEUE_BACKLOG", "JOBS_PAST_HOUR", "SUCCESS_RATE",
}  # fmt: skip

SHOWN = (
    "status", "attempts", "deaths", "max_attempts", "max_deaths", "priority", "timeout",
    "keep_result", "lock_by", "codec", "progress",
)  # fmt: skip

picks = st.integers(0, 99)
values = st.sampled_from((0, "text", [1, 2.5, None], b"bytes", b"x" * 300))
parts = st.fixed_dictionaries(
    {},
    optional={
        "priority": st.sampled_from((-7, 0, 1, 8)),
        "max_attempts": st.integers(1, 3),
        "max_deaths": st.integers(0, 2),
        "metadata": st.just({"colour": "red"}),
        "keep_result": st.booleans(),
        "run_timeout": st.just(2.5),
    },
)


class Player:
    """One backend and its one worker; in what it answers, ids are the numbers of their pushes."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.ids: list[TaskId] = []
        self.held: dict[int, Task[Any]] = {}
        self.come()

    def come(self) -> None:
        self.lease = self.backend.register_worker("worker")
        self.stream = self.backend.poll(self.lease)

    def leave(self) -> None:
        self.stream.close()
        self.lease.close()

    def number(self, task_id: TaskId) -> int:
        return self.ids.index(task_id)

    # --- in and out -------------------------------------------------------------------------------

    def push(self, args: Any, **given: Any) -> int:
        self.ids.append(self.backend.push(args, block=False, **given))
        return len(self.ids) - 1

    def push_again(self, n: int, args: Any) -> None:
        self.backend.push(args, id=self.ids[n], block=False)

    def take(self) -> int:
        task = next(self.stream)
        assert task is not None, "nothing came, though a task is due"
        number = self.number(task.id)
        self.held[number] = task
        return number

    def tell_progress(self, n: int, progress: Progress) -> None:
        self.lease.progress(self.held[n], progress)
        self.lease.heartbeat()

    def finish(self, n: int, value: Any) -> None:
        self.lease.finish(self.held[n], value)

    def fail(self, n: int, retry_in: float, final: bool) -> Status:
        error = ErrorInfo("ValueError", "no", "Traceback: no")
        return Status(self.lease.fail(self.held[n], error, retry_in=retry_in, final=final))

    def give_back(self, n: int) -> bool:
        return bool(self.lease.give_back(self.held[n]))

    def postpone(self, n: int, seconds: float) -> bool:
        return bool(self.lease.postpone(self.held[n], seconds))

    # --- from outside -----------------------------------------------------------------------------

    def cancel(self, n: int, running: bool) -> bool:
        return bool(self.backend.cancel(self.ids[n], running=running))

    def reschedule(self, n: int, wait: float, force: bool) -> None:
        self.backend.reschedule(self.ids[n], wait, force=force)

    def resume(self, n: int, reset: bool) -> bool:
        return bool(self.backend.resume_by_id(self.ids[n], reset=reset))

    def update(self, n: int, changes: dict[str, Any], expect: Status | None) -> Any:
        task = self.backend.fetch_by_id(self.ids[n])
        if task is None:
            return None
        for name, value in changes.items():
            setattr(task, name, value)
        return self.show(self.backend.update(task, expect=expect))

    def wait(self, n: int) -> Any:
        return self.tell(self.backend.wait(self.ids[n], timeout=0))

    def vacuum(self, statuses: tuple[Status, ...]) -> int:
        return int(self.backend.vacuum(statuses=statuses))

    # --- looking ----------------------------------------------------------------------------------

    def fetch(self, n: int) -> Any:
        task = self.backend.fetch_by_id(self.ids[n])
        return task and self.show(task)

    def statuses(self) -> dict[int, Status]:
        found = self.backend.check_status(self.ids)
        return {self.number(task_id): status for task_id, status in found.items()}

    def page(self, status: Status | None, page: int, size: int) -> Any:
        got = self.backend.list_tasks(filter=Filter(status, page, size))
        return [self.show(task) for task in got.items], got.page, got.page_size, got.total

    def figures(self) -> dict[str, float]:
        return {stat.title: stat.value for stat in self.backend.queue_stats() if stat.title in COUNTED}

    def show(self, task: Task[Any]) -> Any:
        gone = task.status is Status.DONE  # a large payload, and with it the metadata, may be removed then
        return {
            "number": self.number(task.id),
            "args": None if gone else task.args,
            "metadata": None if gone else task.metadata,
            "delayed": task.run_at > time.time() + HOUR / 2,
            "locked": task.lock_at is not None,
            "done": task.done_at is not None,
            **{name: getattr(task, name) for name in SHOWN},
        }

    def tell(self, result: TaskResult[Any]) -> Any:
        error = result.error
        return self.number(result.task_id), result.status, result.value, error and (error.type, error.message)


class Agreement(RuleBasedStateMachine):
    """All backends, each told the same."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = TemporaryDirectory()
        self.players = dict(self._players(Path(self._directory.name)))
        assert len(self.players) > 1
        self.count = 0

    @staticmethod
    def _players(directory: Path) -> Iterator[tuple[str, Player]]:
        for name, column in COLUMNS.items():
            place = directory / name
            place.mkdir(0o700)
            backend: Any = column(place)()
            if backend.capabilities() >= NEEDED:
                yield name, Player(backend)
            else:
                backend.close()

    def teardown(self) -> None:
        for player in self.players.values():
            player.leave()
            if hasattr(player.backend, "destroy"):
                player.backend.destroy(force=True)
            player.backend.close()
        self._directory.cleanup()

    def agree(self, call: Callable[[Player], Any]) -> Any:
        """What all of them answer."""
        answers = {name: _answer(call, player) for name, player in self.players.items()}
        first, *others = answers.values()
        assert all(other == first for other in others), answers
        return first

    def _one(self, pick: int) -> int:
        return pick % self.count

    @property
    def memory(self) -> Player:
        return self.players["Memory"]

    def has_tasks(self) -> bool:
        return self.count > 0

    def is_due(self) -> bool:
        page = self.memory.backend.list_tasks(filter=Filter(page_size=1000))
        return any(
            task.status in (Status.PENDING, Status.FAILED) and task.run_at <= time.time()
            for task in page.items
        )

    def holds(self) -> bool:
        return bool(self.memory.held)

    def _held(self, pick: int) -> int:
        held = sorted(self.memory.held)
        return held[pick % len(held)]

    # --- rules ------------------------------------------------------------------------------------

    @rule(args=values, given=parts, delayed=st.sampled_from((False, False, False, True)))
    def push(self, args: Any, given: dict[str, Any], delayed: bool) -> None:
        if delayed:
            given = {**given, "run_at": float(int(time.time()) + HOUR)}
        if isinstance(self.agree(lambda player: player.push(args, **given)), int):
            self.count += 1

    @precondition(has_tasks)
    @rule(pick=picks, args=values)
    def push_again(self, pick: int, args: Any) -> None:
        known = self.memory.statuses()
        if self._one(pick) in known:
            self.agree(lambda player: player.push_again(self._one(pick), args))

    @precondition(is_due)
    @rule()
    def take(self) -> None:
        self.agree(lambda player: player.take())

    @precondition(holds)
    @rule(pick=picks, done=st.integers(0, 3), total=st.sampled_from((None, 2)))
    def tell_progress(self, pick: int, done: int, total: int | None) -> None:
        self.agree(lambda player: player.tell_progress(self._held(pick), Progress.of(done, total)))

    @precondition(holds)
    @rule(pick=picks, value=values)
    def finish(self, pick: int, value: Any) -> None:
        self.agree(lambda player: player.finish(self._held(pick), value))

    @precondition(holds)
    @rule(pick=picks, retry_in=st.sampled_from((0.0, HOUR)), final=st.booleans())
    def fail(self, pick: int, retry_in: float, final: bool) -> None:
        self.agree(lambda player: player.fail(self._held(pick), retry_in, final))

    @precondition(holds)
    @rule(pick=picks)
    def give_back(self, pick: int) -> None:
        self.agree(lambda player: player.give_back(self._held(pick)))

    @precondition(holds)
    @rule(pick=picks, seconds=st.sampled_from((0.0, -5.0, HOUR)))
    def postpone(self, pick: int, seconds: float) -> None:
        self.agree(lambda player: player.postpone(self._held(pick), seconds))

    @precondition(has_tasks)
    @rule(pick=picks, running=st.booleans())
    def cancel(self, pick: int, running: bool) -> None:
        self.agree(lambda player: player.cancel(self._one(pick), running))

    @precondition(has_tasks)
    @rule(pick=picks, wait=st.sampled_from((0.0, -5.0, HOUR)), force=st.booleans())
    def reschedule(self, pick: int, wait: float, force: bool) -> None:
        self.agree(lambda player: player.reschedule(self._one(pick), wait, force))

    @precondition(has_tasks)
    @rule(pick=picks, reset=st.booleans())
    def resume(self, pick: int, reset: bool) -> None:
        self.agree(lambda player: player.resume(self._one(pick), reset))

    @precondition(has_tasks)
    @rule(
        pick=picks,
        changes=st.fixed_dictionaries(
            {},
            optional={
                "args": values,
                "priority": st.sampled_from((-1, 3)),
                "max_attempts": st.integers(1, 4),
                "max_deaths": st.integers(0, 3),
                "timeout": st.sampled_from((None, 7.0)),
                "metadata": st.sampled_from(({}, {"size": 3})),
            },
        ),
        expect=st.sampled_from((None, None, Status.PENDING, Status.FAILED)),
    )
    def update(self, pick: int, changes: dict[str, Any], expect: Status | None) -> None:
        self.agree(lambda player: player.update(self._one(pick), changes, expect))

    @precondition(has_tasks)
    @rule(pick=picks)
    def wait(self, pick: int) -> None:
        self.agree(lambda player: player.wait(self._one(pick)))

    @rule(statuses=st.sampled_from(((Status.DONE,), (Status.KILLED,), (Status.DONE, Status.KILLED))))
    def vacuum(self, statuses: tuple[Status, ...]) -> None:
        self.agree(lambda player: player.vacuum(statuses))

    @rule(
        status=st.sampled_from((None, *Status)),
        page=st.integers(1, 3),
        size=st.sampled_from((1, 2, 10, 1000)),
    )
    def look_at_a_page(self, status: Status | None, page: int, size: int) -> None:
        self.agree(lambda player: player.page(status, page, size))

    @rule()
    def another_worker(self) -> None:
        """With the same name: what the one before had goes back."""

        def change(player: Player) -> None:
            player.leave()
            player.held.clear()
            player.come()

        self.agree(change)

    # --- always -----------------------------------------------------------------------------------

    @invariant()
    def all_tasks_are_the_same(self) -> None:
        self.agree(lambda player: player.statuses())
        self.agree(lambda player: [player.fetch(n) for n in range(self.count)])

    @invariant()
    def the_figures_are_the_same(self) -> None:
        self.agree(lambda player: player.figures())


def _answer(call: Callable[[Player], Any], player: Player) -> Any:
    """What a call returned; of an error that a backend may raise, its kind."""
    try:
        return call(player)
    except (IpcqError, ValueError) as error:
        return type(error)


def test_backends_agree() -> None:
    """A short look at some random histories."""
    run_state_machine_as_test(
        Agreement, settings=settings(max_examples=6, stateful_step_count=25, deadline=None)
    )


@pytest.mark.slow
def test_backends_agree_for_long() -> None:
    """Many of them, and longer ones."""
    run_state_machine_as_test(
        Agreement, settings=settings(max_examples=150, stateful_step_count=40, deadline=None)
    )
