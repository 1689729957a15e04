"""Returns what the dead had, and removes what expired: once a tick, by every process that is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from ...backend import WorkerExit
from ...errors import QueueFull
from ...status import Status
from ...task import TaskId
from ..parts import microseconds
from .contract import Write
from .desk import BATCH, Desk, Held
from .keys import worker_key
from .living import is_dead, is_here
from .members import WorkerRecord
from .moves import give_back, reclaim
from .sums import Sums
from .view import Change, Patience

__all__ = ["TICK", "Recovery"]

TICK = 0.5  # seconds: the bound of every wait, and the pace of housekeeping
_GRACE = 0.25  # seconds that a Monitor has, who knows how its worker ended, to reclaim it first
_MOST_EXPIRED = 256


class _Lost(NamedTuple):
    """Somebody who has tasks and is not there.

    Attributes:
        number: what its tasks say.
        worker: its record; None where that is gone: a claim without an owner.
    """

    number: int
    worker: WorkerRecord | None


class Recovery:
    """The housekeeping of one queue, as one process does its share."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._last = 0.0
        self._since: dict[int, float] = {}  # when each dead one was noticed
        self._leaving: dict[int, WorkerRecord] = {}  # those of this handle that ended, by their numbers

    def __repr__(self) -> str:
        return f"<Recovery of {self._desk.queue!r} [{len(self._since)} dead noticed]>"

    def tick(self) -> list[TaskId]:
        """Do what is due, at most once in `TICK`; those who died a moment ago are left to their Monitor.

        What the store has no room for stays due: whoever calls has other things to do.

        Returns:
            What went back to the queue because its owner had died.
        """
        now = time.monotonic()
        if now - self._last < TICK:
            return []
        self._last = now
        with suppress(QueueFull):
            return self._do_what_is_due(now)
        return []

    def _do_what_is_due(self, now: float) -> list[TaskId]:
        self._let_leave()
        dead = self.dead()
        self._since = {lost.number: self._since.get(lost.number, now) for lost in dead}
        back = self._reclaim_all([lost for lost in dead if now - self._since[lost.number] >= _GRACE], {})
        self.expire()
        return back

    def abandoned(self) -> list[TaskId]:
        """Return what all the dead had, after the moment that their Monitors have."""
        dead = self.dead()
        if not dead:
            return []
        time.sleep(_GRACE)
        return self._reclaim_all(dead, {})

    def resume(self, exits: Iterable[WorkerExit]) -> list[TaskId]:
        """Return what the dead had, at once: of all, or of those whose exits are given."""
        seen = {end.pid: end for end in exits}
        return self._reclaim_all([lost for lost in self.dead() if not seen or _pid(lost) in seen], seen)

    def take_back(self, number: int) -> bool:
        """Return what whoever has that number had, at once, if it is dead; whether it was."""
        desk = self._desk
        desk.view.refresh()
        with desk.view.mutex:
            found = desk.index.workers.get(number)
        if found is not None and not is_dead(found[1], microseconds(), self._silence()):
            return False
        self._reclaim(_Lost(number, found[1] if found else None), None)
        return True

    def dead(self) -> list[_Lost]:
        """The workers that are dead, and the numbers that tasks name though no worker has them."""
        desk, now = self._desk, microseconds()
        desk.view.refresh()
        with desk.view.mutex:
            workers = [worker for _, worker in desk.index.workers.values()]
            stray = [number for number in desk.index.owned if number not in desk.index.workers]
        gone = [_Lost(worker.number, worker) for worker in workers if is_dead(worker, now, self._silence())]
        return [*gone, *(_Lost(number, None) for number in stray)]

    def _silence(self) -> int:
        return round(self._desk.settings.dead_after * 1e6)

    # --- what one had -------------------------------------------------------------------------------

    def _reclaim_all(self, dead: Iterable[_Lost], seen: Mapping[int, WorkerExit]) -> list[TaskId]:
        back: list[TaskId] = []
        for lost in dead:
            end = seen.get(_pid(lost)) if lost.worker is not None else None
            back += self._reclaim(lost, end)
        return back

    def _reclaim(self, lost: _Lost, end: WorkerExit | None) -> list[TaskId]:
        """Return everything that one had, then remove its record."""
        rss = lost.worker.rss if lost.worker else 0

        def died(held: Held) -> Change:
            return self._desk.put(reclaim(held.task, end, rss, microseconds()), held.version)

        back = self._return_all(lost.number, died, charged=True)
        if lost.worker is not None:
            self._strike(lost.worker, dead=True)
        self._since.pop(lost.number, None)
        return back

    def leave(self, worker: WorkerRecord) -> None:
        """Give back everything that a worker has, nothing charged, and remove its record.

        Where the store refuses that, it is done as soon as it can be: the worker's process may live on.
        """
        self._leaving[worker.number] = worker
        self._let_leave()

    def _let_leave(self) -> None:
        def left(held: Held) -> Change:
            return self._desk.put(give_back(held.task), held.version)

        for worker in list(self._leaving.values()):
            self._return_all(worker.number, left, charged=False)
            self._strike(worker, dead=False)
            self._leaving.pop(worker.number, None)

    def _return_all(self, number: int, returned: Returning, *, charged: bool) -> list[TaskId]:
        desk, back, patience = self._desk, list[TaskId](), Patience()
        while True:
            desk.view.refresh()
            with desk.view.mutex:
                ids = list(desk.index.owned.get(number, ()))[:BATCH]
            if not ids:
                return back
            held = [each for each in map(self._load, ids) if each and _has(each, number)]
            changes = [returned(each) for each in held]
            ready = [c.task.id for c in changes if c.task is not None and c.task.status is Status.PENDING]
            if charged and ready:
                changes.append(self._recovered(len(ready)))
            if changes and desk.view.commit(changes):
                back += ready
            else:
                patience.lost(f"what number {number} had")

    def _load(self, task_id: int) -> Held | None:
        return self._desk.load(TaskId(task_id))

    def _recovered(self, count: int) -> Change:
        sums = Sums()
        sums.recovered = count
        with self._desk.view.mutex:
            return self._desk.count(sums)

    def _strike(self, worker: WorkerRecord, *, dead: bool) -> None:
        """Remove a worker's record, unless it turns out that it lives, or was removed."""
        desk, patience = self._desk, Patience()
        key = worker_key(desk.queue, worker.id)
        while True:
            with desk.view.mutex:
                found = desk.index.workers.get(worker.number)
            if found is None or (dead and not is_dead(found[1], microseconds(), self._silence())):
                return
            if desk.view.commit([Change(Write(key, found[0], None))]):
                return
            patience.lost(f"worker {worker.id!r}")
            desk.view.refresh()

    # --- what expired -------------------------------------------------------------------------------

    def expire(self) -> int:
        """Remove results that nobody fetched within the queue's `result_ttl`; how many."""
        desk = self._desk
        before = microseconds() - round(desk.settings.result_ttl * 1e6)
        late: list[int] = []
        with desk.view.mutex:
            for task_id in desk.index.unfetched:
                ended = desk.index.tasks[task_id].ended
                if ended is None or ended.at > before or len(late) == _MOST_EXPIRED:
                    break
                late.append(task_id)
        return desk.remove(late, lambda task: not task.fetched and task.done <= before)


Returning = Callable[[Held], Change]


def _pid(lost: _Lost) -> int:
    """The process of a worker that can be seen from here; 0 for another's."""
    worker = lost.worker
    return worker.identity.pid if worker is not None and is_here(worker) else 0


def _has(held: Held, number: int) -> bool:
    return held.task.owner is not None and held.task.owner.number == number
