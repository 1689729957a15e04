"""What one process keeps of a queue in its memory, from the records it has seen: nothing here is the truth.

The truth is in the store; each change there is made by a compare-and-set on what was read from it. So an
index that is behind costs a second look, never a task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ...status import TERMINAL, Status
from ...task import Progress, TaskId
from ..figures import Figures
from .members import WorkerRecord
from .order import Order
from .record import TaskRecord
from .sums import Ended, Sums

__all__ = ["Entry", "Index"]


@dataclass(slots=True)
class Entry:
    """What the index keeps of a task; as in `TaskRecord`, with every `seq` and `done_seq` filled in."""

    version: int
    status: Status
    priority: int
    seq: int
    run_at: int
    delayed: bool
    owner: int
    worker: str
    sender: int
    keep: bool
    fetched: bool
    done_seq: int
    created: int
    locked: int
    size: int
    ended: Ended | None
    progress: Progress | None

    @classmethod
    def of(cls, task: TaskRecord, version: int) -> Entry:
        """From the record that was stored with this version."""
        owner = task.owner
        sizes = (body.size for body in (task.payload, task.result) if body is not None)
        return cls(
            version, task.status, task.priority, task.seq or 2 * version, task.run_at, task.delayed,
            owner.number if owner else 0, owner.worker if owner else "", task.sender, task.keep, task.fetched,
            task.done_seq or version, task.created, task.locked, sum(sizes), _ended(task), task.progress,
        )  # fmt: skip

    @property
    def is_ready(self) -> bool:
        """Whether it can be taken now."""
        return not self.delayed and (self.status is Status.PENDING or self.status is Status.FAILED)

    @property
    def is_finished(self) -> bool:
        """Whether it came to an end."""
        return self.ended is not None


def _ended(task: TaskRecord) -> Ended | None:
    if task.status not in TERMINAL:
        return None
    ran = task.done - task.started if task.started else -1
    return Ended(task.status, task.done, task.started - task.due, ran)


class Index:
    """Tasks and workers of one queue.

    Attributes:
        tasks: all, by id.
        counts: how many, by status.
        ready: those that can be taken, by priority and place.
        delayed: those that are not due yet, by when they are.
        owned: ids by the number of who has them.
        unfetched: finished tasks whose result nobody has, in the order in which they ended.
        fetched: the others, in the order in which they were fetched.
        open_of: how many tasks each handle pushed whose result nobody has, unfinished ones too.
        done_of: how many of these are finished.
        live: sums over the finished tasks that are there.
        stored: sums over those that are not, and over runs before others, as they are stored.
        workers: by number, with the version of their records.
        size: bytes of payloads and results.
        newest: when the last one was accepted.
        due: those that can be taken, by when they became due.
        on_end: each called with the id of a task that was finished or removed.
        settings: the queue's, as they are stored; None where there is no such queue.
    """

    def __init__(self) -> None:
        self.on_end: list[Callable[[int], None]] = []
        self.settings: bytes | None = None
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.tasks: dict[int, Entry] = {}
        self.counts: Counter[Status] = Counter()
        self.ready: Order[tuple[int, int, int]] = Order()
        self.delayed: Order[tuple[int, int]] = Order()
        self.owned: dict[int, dict[int, None]] = {}
        self.unfetched: dict[int, None] = {}
        self.fetched: dict[int, None] = {}
        self.open_of: Counter[int] = Counter()
        self.done_of: Counter[int] = Counter()
        self.live = Sums()
        self.stored: dict[str, tuple[int, Sums]] = {}
        self.workers: dict[int, tuple[int, WorkerRecord]] = {}
        self.numbers: dict[str, int] = {}  # of the worker in each record
        self.size = 0
        self.newest = 0
        self.due: Order[tuple[int]] = Order()

    def __repr__(self) -> str:
        return f"<Index of {len(self.tasks)} tasks, {len(self.workers)} workers>"

    # --- tasks ------------------------------------------------------------------------------------

    def put(self, task_id: int, entry: Entry | None) -> None:
        """Note what a task is like now; None for removed."""
        before = self.tasks.pop(task_id, None)
        if before is not None:
            self._take_out(task_id, before)
        if entry is not None:
            self.tasks[task_id] = entry
            self._put_in(task_id, entry)
        if entry is None or (entry.is_finished and not (before is not None and before.is_finished)):
            for told in self.on_end:
                told(task_id)

    def _put_in(self, task_id: int, entry: Entry) -> None:
        self._count(entry, 1)
        self.newest = max(self.newest, entry.created)
        if entry.ended is not None:
            (self.fetched if entry.fetched else self.unfetched)[task_id] = None
        elif entry.owner:
            self.owned.setdefault(entry.owner, {})[task_id] = None
        elif entry.delayed:
            self.delayed.add((entry.run_at, entry.seq), task_id)
        else:
            self._make_ready(task_id, entry)

    def _make_ready(self, task_id: int, entry: Entry) -> None:
        self.ready.add((-entry.priority, entry.seq, entry.run_at), task_id)
        self.due.add((max(entry.run_at, entry.created),), task_id)

    def _take_out(self, task_id: int, entry: Entry) -> None:
        self._count(entry, -1)
        if entry.ended is not None:
            (self.fetched if entry.fetched else self.unfetched).pop(task_id, None)
        elif entry.owner:
            self._disown(task_id, entry.owner)
        else:
            for order in (self.delayed, self.ready, self.due):
                order.discard(task_id)

    def _disown(self, task_id: int, owner: int) -> None:
        owned = self.owned.get(owner, {})
        owned.pop(task_id, None)
        if not owned:
            self.owned.pop(owner, None)

    def _count(self, entry: Entry, sign: int) -> None:
        self.counts[entry.status] += sign
        self.size += sign * entry.size
        finished = entry.ended is not None
        if not entry.fetched and (entry.keep or finished):  # without a result to keep it frees its place
            self.open_of[entry.sender] += sign
            self.done_of[entry.sender] += sign * finished
        if not self.open_of[entry.sender]:
            del self.open_of[entry.sender], self.done_of[entry.sender]
        if entry.ended is not None:
            self.live.finished(entry.ended, sign)

    def promote(self, now: int, seen: int) -> None:
        """Have delayed tasks that are due join the others, behind all that were ``seen`` so far."""
        while (first := self.delayed.first()) is not None and first[0][0] <= now:
            self.delayed.discard(first[1])
            entry = self.tasks[first[1]]
            entry.delayed, entry.seq = False, 2 * seen + 1
            self._make_ready(first[1], entry)

    def progress(self) -> dict[TaskId, Progress]:
        """How far each run is that has told it."""
        found = {}
        for owned in self.owned.values():
            for task_id in owned:
                told = self.tasks[task_id].progress
                if told is not None:
                    found[TaskId(task_id)] = told
        return found

    # --- workers and figures ------------------------------------------------------------------------

    def put_worker(self, name: str, version: int, worker: WorkerRecord | None) -> None:
        """Note the worker in the record of that name; None for removed."""
        number = self.numbers.pop(name, None)
        if number is not None:
            del self.workers[number]
        if worker is not None:
            self.numbers[name] = worker.number
            self.workers[worker.number] = version, worker

    def put_sums(self, name: str, version: int, sums: Sums) -> None:
        """Note one part of the sums that are stored."""
        self.stored[name] = version, sums

    def sums(self) -> Sums:
        """Sums over all tasks that ever finished."""
        total = Sums()
        total.add(self.live)
        for _, sums in self.stored.values():
            total.add(sums)
        return total

    def figures(self, now: int) -> Figures:
        """What the queue counted."""
        sums, first = self.sums(), self.due.first()
        return Figures(
            counts=[self.counts[status] for status in Status],
            delayed=len(self.delayed),
            done=sums.done,
            killed=sums.killed,
            failures=sums.failures,
            runs=sums.by_class(sums.runs),
            waits=sums.by_class(sums.waits),
            run_time=sums.run_time / 1e6,
            wait_time=sums.wait_time / 1e6,
            past_hour=sums.past_hour(now),
            oldest=first[0][0] / 1e6 if first is not None else 0.0,
            newest=max(self.newest, sums.newest) / 1e6,
            recovered=sums.recovered,
            bytes=self.size,
        )
