"""Every move of a task as a function from record to record, by the one table in `ipcq.status`.

A move that the table does not have raises `IllegalTransition`. None of these asks who may do it, or the time.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...backend import WorkerExit
from ...errors import IllegalTransition
from ...result import ErrorInfo
from ...status import Status, check_transition
from ...task import Progress
from ..deaths import worker_died
from ..parts import MAX_ATTEMPTS, MAX_DEATHS, Parts
from .record import Body, Owner, TaskRecord

__all__ = [
    "cancel",
    "fail",
    "finish",
    "give_back",
    "mark_fetched",
    "postpone",
    "reclaim",
    "resume",
    "start",
    "take",
    "tell",
    "update",
]

_CANCELLED = ErrorInfo("Cancelled", "the task was cancelled; what it gave, if anything, was not stored")
_FREE: dict[str, Any] = {"owner": None, "locked": 0}


def _move(task: TaskRecord, target: Status, **changes: Any) -> TaskRecord:
    check_transition(task.status, target)
    return replace(task, status=target, progress=None, **changes)


def _check_owner(task: TaskRecord, target: Status) -> None:
    if task.owner is None:  # the table has this move, but for others to make
        raise IllegalTransition(task.status, target)


# --- by workers -----------------------------------------------------------------------------------


def take(task: TaskRecord, owner: Owner, seq: int, now: int, *, start: bool) -> TaskRecord:
    """PENDING, FAILED -> RUNNING, or QUEUED without ``start``; under a new lease.

    Args:
        seq: its place in the order, should it come back.
    """
    status = Status.RUNNING if start else Status.QUEUED
    due = max(task.run_at, task.created)
    return _move(
        task, status, owner=owner, epoch=task.epoch + 1, locked=now, started=now if start else task.started,
        due=due, seq=seq, delayed=False, error=None,
    )  # fmt: skip


def start(task: TaskRecord, now: int) -> TaskRecord:
    """QUEUED -> RUNNING."""
    _check_owner(task, Status.RUNNING)
    return _move(task, Status.RUNNING, started=now)


def tell(task: TaskRecord, progress: Progress) -> TaskRecord:
    """How far the run of a RUNNING task is."""
    return replace(task, progress=progress)


def finish(task: TaskRecord, result: Body, codec: str, now: int) -> TaskRecord:
    """RUNNING -> DONE; a large payload is needed no more."""
    payload = task.payload if task.payload is not None and task.payload.data is not None else None
    return _ended(task, Status.DONE, now, attempts=_one_more(task),  result=result, result_codec=codec,
                  payload=payload)  # fmt: skip


def fail(task: TaskRecord, error: ErrorInfo, run_at: int, now: int, *, final: bool) -> TaskRecord:
    """RUNNING -> FAILED, due again at ``run_at``; KILLED if ``final`` or with no attempt left."""
    attempts = _one_more(task)
    if final or attempts >= task.max_attempts:
        return _ended(task, Status.KILLED, now, attempts=attempts, error=error)
    return _move(
        task,
        Status.FAILED,
        attempts=attempts,
        error=error,
        run_at=run_at,
        delayed=run_at > now,
        seq=0,
        **_FREE,
    )


def give_back(task: TaskRecord) -> TaskRecord:
    """QUEUED, RUNNING -> PENDING at its old place, nothing charged."""
    _check_owner(task, Status.PENDING)
    return _move(task, Status.PENDING, **_FREE)


def postpone(task: TaskRecord, seq: int, run_at: int, now: int) -> TaskRecord:
    """QUEUED, RUNNING -> PENDING, due at ``run_at``, nothing charged; as `resume`."""
    _check_owner(task, Status.PENDING)
    return resume(task, seq, run_at, now)


def reclaim(task: TaskRecord, end: WorkerExit | None, rss: int, now: int) -> TaskRecord:
    """QUEUED, RUNNING -> PENDING, since its worker died; KILLED where that was one death too many.

    Args:
        end: how it ended; None where nobody saw it.
        rss: what that worker last told of its resident memory, in bytes.
    """
    if task.status is not Status.RUNNING:
        return give_back(task)
    deaths = task.deaths + 1
    if deaths <= task.max_deaths:
        return replace(give_back(task), deaths=deaths)
    owner = task.owner or Owner("", 0, 0)
    error = worker_died(
        pid=owner.pid,
        worker=owner.worker,
        exitcode=end.exitcode if end else None,
        rss=end.rss if end and end.rss else rss,
        out_of_memory=bool(end and end.out_of_memory),
        deaths=deaths,
    )
    return _ended(task, Status.KILLED, now, deaths=min(deaths, MAX_DEATHS), error=error, started=0)


# --- from outside ---------------------------------------------------------------------------------


def cancel(task: TaskRecord, now: int) -> TaskRecord:
    """Not finished -> KILLED."""
    return _ended(task, Status.KILLED, now, error=_CANCELLED, started=0)  # no run came to its end


def resume(task: TaskRecord, seq: int, run_at: int, now: int, *, reset: bool = False) -> TaskRecord:
    """Any but DONE -> PENDING, due at ``run_at``; whoever had it has it no more.

    Args:
        seq: its place in the order, which it keeps where it is due.
        reset: attempts and deaths start at 0. Else a KILLED task has one run, whatever it used up.
    """
    return _move(
        task, Status.PENDING, run_at=run_at, delayed=run_at > now, seq=seq, epoch=task.epoch + 1, error=None,
        done=0, done_seq=0, fetched=False, attempts=0 if reset else task.attempts,
        deaths=0 if reset else min(task.deaths, task.max_deaths), **_FREE,
    )  # fmt: skip


def update(
    task: TaskRecord, parts: Parts, payload: Body | None, codec: str, seq: int, version: int, now: int
) -> TaskRecord:
    """PENDING, QUEUED -> PENDING; FAILED stays so while it has an attempt left, KILLED in any case.

    What a task has over its new limits is forgiven: it has the run that it is owed.

    Args:
        seq: its place in the order, which it keeps.
        version: of the write by which it ended, if that is not noted.
    """
    killed, status = task.status is Status.KILLED, Status.PENDING
    if killed or (task.status is Status.FAILED and task.attempts < parts.max_attempts):
        status = task.status
    else:
        check_transition(task.status, status)
    return replace(
        task, status=status, run_at=parts.run_at, delayed=parts.run_at > now and not killed, seq=seq,
        priority=parts.priority, max_attempts=parts.max_attempts, max_deaths=parts.max_deaths,
        deaths=min(task.deaths, parts.max_deaths + killed), timeout=parts.timeout, metadata=parts.metadata,
        payload=payload, codec=codec, epoch=task.epoch + 1, error=task.error if killed else None,
        done_seq=task.done_seq or version if killed else 0, **_FREE,
    )  # fmt: skip


def mark_fetched(task: TaskRecord, version: int) -> TaskRecord:
    """Finished, and somebody has its result; it ended by the write with ``version`` if that is not noted."""
    return replace(task, fetched=True, done_seq=task.done_seq or version)


def _ended(task: TaskRecord, status: Status, now: int, **changes: Any) -> TaskRecord:
    return _move(task, status, done=now, done_seq=0, **_FREE, **changes)


def _one_more(task: TaskRecord) -> int:
    return min(task.attempts + 1, MAX_ATTEMPTS)
