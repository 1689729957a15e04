"""Backends that do one thing wrong each, in every process that opens them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ipcq import (
    Filter,
    LeaseLost,
    MemoryStorage,
    Page,
    QueueInfo,
    Status,
    Task,
    TaskId,
    WaitTimeout,
    WorkerExit,
    WorkerLease,
)


def _open(kind: type[Faulty], name: str, directory: str) -> Faulty:
    os.environ["IPCQ_DIR"] = directory  # in a helper process, which opens nothing else
    return kind(name, create=False)


class Faulty(MemoryStorage):
    """What is handed to another process is as faulty there."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (type(self), str(self.queue), self._base)


class BelievesLateWorkers(Faulty):
    """A completion that comes too late is answered as if it counted."""

    def register_worker(self, worker_id: str, **options: Any) -> Any:
        lease: Any = super().register_worker(worker_id, **options)
        finish = lease.finish

        def believing(task: Task[Any], value: Any) -> None:
            try:
                finish(task, value)
            except LeaseLost:
                pass

        lease.finish = believing
        return lease


class ForgetsPriorities(Faulty):
    def push(self, args: Any, **parts: Any) -> TaskId:
        parts.pop("priority", None)
        return super().push(args, **parts)


class ForgetsDelays(Faulty):
    def push(self, args: Any, **parts: Any) -> TaskId:
        parts.pop("run_at", None)
        return super().push(args, **parts)


class ForgetsIds(Faulty):
    def push(self, args: Any, **parts: Any) -> TaskId:
        return parts.pop("id", None) or super().push(args, **parts)


class CutsPayloads(Faulty):
    def push(self, args: Any, **parts: Any) -> TaskId:
        return super().push(args[:65536] if isinstance(args, bytes) else args, **parts)


class AcceptsEveryStatus(Faulty):
    def push_task(self, task: Task[Any], **options: Any) -> TaskId:
        return super().push_task(Task.of(task.args, id=task.id), **options)


class NoneMeansPending(Faulty):
    def list_tasks(self, queue: str | None = None, filter: Filter | None = None) -> Page[Task[Any]]:
        wanted = filter or Filter()
        return super().list_tasks(queue, replace(wanted, status=wanted.status or Status.PENDING))


class ShowsBusyDaysOnly(Faulty):
    def list_queues(self) -> list[QueueInfo]:
        return [replace(info, activity=tuple(filter(None, info.activity))) for info in super().list_queues()]


class LeavesTheDeadTheirTasks(Faulty):
    def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        return []


class WaitsForTheUnknown(Faulty):
    def wait_for(self, ids: Iterable[TaskId], timeout: float | None = None, **options: Any) -> Any:
        wanted = list(ids)
        if len(self.check_status(wanted)) < len(wanted):
            raise WaitTimeout("nothing came")
        return super().wait_for(wanted, timeout, **options)


class SaysThatItCancelled(Faulty):
    def cancel(self, task_id: TaskId | str, *, running: bool = False) -> bool:
        return True


def _store_as_done(task: Task[Any], context: Any, call_next: Any) -> None:
    lease: WorkerLease = context.lease
    try:
        value = call_next(task, context)
    except BaseException as error:
        value = repr(error)
    try:
        lease.finish(task, value)
    except Exception:
        lease.finish(task, None)


class StoresFailuresAsDone(Faulty):
    def middleware(self) -> Any:
        return _store_as_done


FAULTS: dict[type[Faulty], str] = {
    BelievesLateWorkers: "leases.late_completion",
    ForgetsPriorities: "order.higher_priority_first",
    ForgetsDelays: "order.a_delayed_task_waits_until_it_is_due",
    ForgetsIds: "sink.the_same_id_twice",
    CutsPayloads: "payloads.arguments_of_every_size",
    AcceptsEveryStatus: "sink.a_status_is_refused",
    NoneMeansPending: "paging.none_means_all",
    ShowsBusyDaysOnly: "listing.activity_of_seven_days",
    LeavesTheDeadTheirTasks: "deaths.of_the_one_who_runs_it",
    WaitsForTheUnknown: "waiting.an_unknown_id_at_once",
    SaysThatItCancelled: "cancelling.one_that_waits",
    StoresFailuresAsDone: "layers.a_failure_is_never_done",
}
"""Each fault, and a check that finds it."""
