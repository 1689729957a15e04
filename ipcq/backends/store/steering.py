"""Tasks moved from outside: reschedule, resume, cancel."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from ...backend import WorkerRequest
from ...errors import IllegalTransition
from ...result import ErrorInfo
from ...status import TERMINAL, Status
from ...task import TaskId
from ..liveness import kill_process, own_identity
from ..parts import microseconds
from .contract import Write
from .desk import Desk, Held, sums_of
from .failing import failed
from .keys import worker_key
from .living import is_dead, is_here
from .members import WorkerRecord, dump_worker
from .moves import cancel, resume
from .record import TaskRecord
from .recovery import Recovery
from .view import Change, Patience

__all__ = ["Steering"]

log = logging.getLogger("ipcq.store")


class Steering:
    """Moves tasks of one queue, whoever has them."""

    def __init__(self, desk: Desk, recovery: Recovery) -> None:
        self._desk = desk
        self._recovery = recovery

    def __repr__(self) -> str:
        return f"<Steering at {self._desk!r}>"

    def reschedule(self, task_id: TaskId, run_at: int, *, force: bool) -> None:
        """-> PENDING, due at ``run_at``; see `Reschedule`."""

        def moved(held: Held) -> list[Change]:
            if held.task.status is Status.RUNNING and not force:
                raise IllegalTransition(held.task.status, Status.PENDING)
            return self._resumed(held, run_at, reset=False)

        self._change(task_id, moved)

    def resume(self, task_id: TaskId, *, reset: bool) -> bool:
        """-> PENDING and due; see `ResumeById`."""
        abandoned = self._desk.lookup(task_id).task.owner is not None

        def moved(held: Held) -> list[Change]:
            task, now = held.task, microseconds()
            is_due = task.status is Status.PENDING and not (task.delayed and task.run_at > now)
            if task.owner is not None or task.status is Status.DONE or (is_due and not abandoned):
                return []
            return self._resumed(held, now, reset=reset)

        return bool(self._change(task_id, moved))

    def _resumed(self, held: Held, run_at: int, *, reset: bool) -> list[Change]:
        desk = self._desk
        after = resume(held.task, desk.place(held), run_at, microseconds(), reset=reset)
        changes = [self._put(after, held)]
        if held.task.status is Status.KILLED:  # so it ended once, and will do so again
            with desk.view.mutex:
                changes.append(desk.count(sums_of([held.task])))
        return changes

    def cancel(self, task_id: TaskId, *, running: bool) -> bool:
        """-> KILLED; see `Cancel`."""
        victim: TaskRecord | None = None

        def ended(held: Held) -> list[Change]:
            nonlocal victim
            status = held.task.status
            if status in TERMINAL or (status is Status.RUNNING and not running):
                return []
            victim = held.task if status is Status.RUNNING else None
            return [self._put(cancel(held.task, microseconds()), held)]

        done = self._change(task_id, ended)
        if done and victim is not None:
            self._kill(victim)
        return bool(done)

    def end_run(self, task_id: TaskId, error: ErrorInfo, pid: int, delay: int) -> bool:
        """RUNNING -> FAILED or KILLED in the place of its worker; see `EndRun`."""

        def ended(held: Held) -> list[Change]:
            owner = held.task.owner
            if held.task.status is not Status.RUNNING or owner is None or owner.pid != pid:
                return []
            return failed(self._desk, held, error, delay, final=False)

        return bool(self._change(task_id, ended))

    def ask_worker(self, worker_id: str, request: WorkerRequest) -> bool:
        """Store what a worker is to do, where it sees it; see `AskWorker`."""
        desk, patience = self._desk, Patience()
        while True:
            desk.view.refresh()
            found = self._worker(worker_id)
            if found is None:
                return False
            version, worker = found
            if worker.request == WorkerRequest.STOP:
                return request is WorkerRequest.STOP
            value = dump_worker(replace(worker, request=int(request)))
            if desk.view.commit([Change(Write(worker_key(desk.queue, worker_id), version, value))]):
                return True
            patience.lost(f"worker {worker_id!r}")

    def _worker(self, worker_id: str) -> tuple[int, WorkerRecord] | None:
        """A live worker and the version of its record."""
        desk, dead_after = self._desk, round(self._desk.settings.dead_after * 1e6)
        with desk.view.mutex:
            for version, worker in desk.index.workers.values():
                if worker.id == worker_id and not is_dead(worker, microseconds(), dead_after):
                    return version, worker
        return None

    def _kill(self, task: TaskRecord) -> None:
        """Kill the process that ran it, if it is what the worker's record says, and not this one."""
        with self._desk.view.mutex:
            found = self._desk.index.workers.get(task.owner.number if task.owner else 0)
        if found is None or not is_here(found[1]) or found[1].identity == own_identity():
            return
        try:
            kill_process(found[1].identity)
        except OSError as error:
            pid = found[1].identity.pid
            log.warning("queue %r: cannot kill process %d: %s", self._desk.queue, pid, error.strerror)

    # --- changing ---------------------------------------------------------------------------------

    def _put(self, after: TaskRecord, held: Held) -> Change:
        return self._desk.put(after, held.version)

    def _change(self, task_id: TaskId, changed: Callable[[Held], list[Change]]) -> list[Change]:
        """Make the changes that ``changed`` tells of a task that no dead worker has any more.

        Args:
            changed: called again when the task was changed meanwhile; what it raises is raised here.

        Returns:
            The changes that were made.
        """
        patience = Patience()
        while True:
            changes = changed(self.find(task_id))
            if not changes or self._desk.view.commit(changes):
                return changes
            patience.lost(f"task {task_id}")
            self._desk.view.refresh()

    def find(self, task_id: TaskId) -> Held:
        """The task; if a dead worker has it, what that had is returned first."""
        while True:
            held = self._desk.lookup(task_id)
            if held.task.owner is None or not self._recovery.take_back(held.task.owner.number):
                return held
