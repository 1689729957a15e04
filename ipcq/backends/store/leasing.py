"""A worker's place in the queue: ends tasks, gives them back, leaves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from secrets import randbits
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...backend import WorkerRequest
from ...errors import LeaseLost, QueueClosed, QueueFull, WorkerExists
from ...layer import ForcedStop
from ...result import ErrorInfo
from ...status import Status
from ...task import Lease, Progress, Task, TaskId
from ..liveness import Identity
from ..parts import delay_of, microseconds, moment_of
from ..progress import ProgressTeller
from ..returned import Returned
from .contract import Write
from .desk import Desk, Held, sums_of
from .failing import failed
from .keys import payload_key, result_key, worker_key
from .living import beaten, own_worker
from .members import WorkerRecord, dump_worker
from .moves import finish, give_back, postpone, start
from .progress import StoredProgress
from .record import Body, Owner, TaskRecord
from .recovery import Recovery
from .view import Change, Patience

if TYPE_CHECKING:
    from .streaming import StoreStream

__all__ = ["PATIENCE", "Place", "StoreLease"]

Place = tuple[int]
"""The number of a worker."""

_LONGEST_ID = 128  # bytes
PATIENCE = 60.0
"""Seconds that a worker waits for room in the store before it tells the task's owner, or ends."""
_BEAT = 2.0  # seconds between two writes that it lives, at the most: each one is read by everybody


class StoreLease:
    """A registered worker. Fulfils `WorkerLease`.

    Attributes:
        owner: what the records of its tasks say.
        stream: the last one that was made of it.
    """

    def __init__(
        self,
        desk: Desk,
        recovery: Recovery,
        worker_id: str,
        layers: Iterable[str],
        identity: Identity | None = None,
        place: Place | None = None,
    ) -> None:
        if not 0 < len(worker_id.encode()) <= _LONGEST_ID or "\0" in worker_id:
            raise ValueError(f"a worker's id is 1 to {_LONGEST_ID} bytes of text, not {worker_id!r}")
        self.desk = desk
        self.worker_id = worker_id
        self.stream: StoreStream | None = None
        self.returned = Returned()  # by looks for tasks since the last heartbeat
        self.closed = False
        self._in_haste = False
        self._recovery = recovery
        self._held: dict[int, Held] = {}
        self._noting = threading.RLock()  # while what is held is compared, and changed
        self._teller = ProgressTeller(StoredProgress(self))
        self._worker = own_worker(worker_id, randbits(62) + 1, tuple(layers), microseconds(), identity)
        self._key = worker_key(desk.queue, worker_id)
        self._opener = os.getpid()
        self._beat_every = min(_BEAT, desk.settings.dead_after / 4)
        self._beat = time.monotonic()
        self._worker = (self._found(place) if place is not None else None) or self._worker
        self.owner = Owner(worker_id, self._worker.number, self._worker.identity.pid)
        if place != self.place:
            self._enter()

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"number {self.owner.number}, {len(self._held)} tasks"
        return f"<StoreLease of {self.worker_id!r} in {self.desk.queue!r} [{state}]>"

    @property
    def place(self) -> Place:
        """What `StoreBackend.register_worker` goes on with in another process."""
        return (self._worker.number,)

    def _found(self, place: Place) -> WorkerRecord | None:
        """The worker that entered there, if it still is there and the same."""
        self.desk.view.refresh()
        with self.desk.view.mutex:
            found = self.desk.index.workers.get(place[0])
        if found is None or (found[1].id, found[1].identity) != (self.worker_id, self._worker.identity):
            return None
        return found[1]

    def _enter(self) -> None:
        """Store who we are; the id is free, or its holder is dead and gives way at once."""
        view, patience, until = self.desk.view, Patience(), time.monotonic() + PATIENCE
        while not self.desk.commit([Change(Write(self._key, 0, dump_worker(self._worker)))], until):
            view.refresh()
            with view.mutex:
                holders = [w for _, w in self.desk.index.workers.values() if w.id == self.worker_id]
            for holder in holders:
                if not self._recovery.take_back(holder.number):
                    raise WorkerExists(
                        f"queue {self.desk.queue!r} has a live worker {self.worker_id!r}; choose another"
                        " name, or None for a unique one"
                    )
            patience.lost(f"worker {self.worker_id!r}")

    # --- living -----------------------------------------------------------------------------------

    @property
    def request(self) -> WorkerRequest:
        """What another process asks of this worker."""
        view = self.desk.view
        with view.mutex:
            found = self.desk.index.workers.get(self.owner.number)
        return WorkerRequest(found[1].request) if found is not None else WorkerRequest.RUN

    def heartbeat(self) -> list[TaskId]:
        """Tell people that the worker moves, and do its share of the queue's housekeeping."""
        back = self._recovery.tick()
        self._teller.flush()
        self._beat_once()
        return self.returned.fetch() + back

    def _beat_once(self) -> None:
        self.desk.view.refresh()  # for what is asked of us
        now = time.monotonic()
        if now - self._beat < self._beat_every or not self.is_ours:
            return
        self._beat = now
        with self.desk.view.mutex:
            found = self.desk.index.workers.get(self.owner.number)
        if found is not None:  # else it was taken for dead: whoever takes tasks in its name is told
            value = dump_worker(beaten(found[1], microseconds()))
            self.desk.view.commit([Change(Write(self._key, found[0], value))])

    def check(self) -> None:
        """Raise `QueueClosed` if the place is not ours any more; with the view's mutex."""
        if not self.is_ours or self.owner.number not in self.desk.index.workers:
            raise QueueClosed(
                f"queue {self.desk.queue!r}: this worker was closed, or taken for dead; register again"
            )

    @property
    def is_ours(self) -> bool:
        """Whether it is not closed, and this process's: not of the one that this was forked from."""
        return not self.closed and self._opener == os.getpid()

    def close(self) -> None:
        """Give everything back and leave the queue's list of workers."""
        if not self.is_ours:
            return
        self.closed = True
        self._held.clear()
        self._recovery.leave(self._worker)

    def __enter__(self) -> StoreLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- what it has ------------------------------------------------------------------------------

    def hold(self, held: Held) -> None:
        """Note a task that is ours now, or how it is now."""
        self._held[held.task.id] = held

    def held(self, task_id: int) -> Held | None:
        """The record of a task that is ours, as we know it."""
        return self._held.get(task_id)

    def look(self, task_id: int, epoch: int) -> Held | None:
        """The record of a task as it is now; None where that lease is void."""
        held = self.desk.load(TaskId(task_id))
        if held is None or held.task.owner != self.owner or held.task.epoch != epoch:
            self._held.pop(task_id, None)
            return None
        self.hold(held)
        return held

    def drop(self, task_id: int) -> None:
        """Note that a task is not ours any more."""
        self._teller.forget(task_id)
        with self._noting:
            self._held.pop(task_id, None)

    def replace(self, before: Held, after: Held) -> None:
        """Note how a task of ours is now, unless another thread has ended it, or changed it, meanwhile."""
        with self._noting:
            if self._held.get(before.task.id) is before:
                self._held[before.task.id] = after

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """Tell how far the run of a task is; stored four times a second at the most."""
        self._teller.tell(task, progress)

    def hurry(self) -> None:
        """Wait for no room from now on: `ForcedStop` instead; from a signal handler, too."""
        self._in_haste = True

    def _waits(self) -> None:
        if self._in_haste:
            raise ForcedStop

    def finish(self, task: Task[Any], value: Any, *, patience: float | None = None) -> None:
        """RUNNING -> DONE with this value.

        Args:
            patience: seconds to wait for room for the value, then it is `QueueFull`, and the task is RUNNING
                still; None to wait for a minute, and make it KILLED then.
        """
        codec = self.desk.codecs.own
        data = bytes(codec.encode(value))
        body = Body.of(data)

        def done(held: Held) -> list[Change]:
            after = finish(held.task, body, codec.name, microseconds())
            return self._done(held, after, data)

        until = time.monotonic() + (PATIENCE if patience is None else patience)
        try:
            self._end(task, done, until, self._following())
        except QueueFull as full:
            if patience is not None:
                raise
            error = _no_room(len(data), full)
            self._end(task, lambda held: self._failed(held, error), until)

    def finish_many(
        self, tasks: Sequence[Task[Any]], values: Iterable[Any], *, patience: float | None = None
    ) -> None:
        """RUNNING -> DONE for tasks that were run together, each with its value.

        Args:
            tasks: as `StoreStream.take_many` or `next` gave them.
            values: as many.
            patience: as for `finish`.

        Raises:
            CodecError: a value cannot be encoded; it and those behind it are still RUNNING.
            LeaseLost: at least one was not this worker's any more; the others are DONE.
            QueueFull: no room came for one; ``accepted`` are those before it that are DONE.
        """
        found = list(values)
        if len(found) != len(tasks):
            raise ValueError(f"{len(tasks)} tasks cannot be finished with {len(found)} values: each has one")
        lost: LeaseLost | None = None
        done: list[TaskId] = []
        for task, value in zip(tasks, found, strict=True):
            try:
                self.finish(task, value, patience=patience)
                done.append(task.id)
            except LeaseLost as error:
                lost = error
            except QueueFull as full:
                full.accepted = done
                raise
        if lost is not None:
            raise lost

    def has_finished(self, task_id: TaskId, lease: Lease) -> bool:
        """Whether the run under that lease ended as DONE: for who sent its value and was not answered."""
        held = self.desk.load(task_id)
        return held is not None and held.task.status is Status.DONE and held.task.epoch == lease.epoch

    def _done(self, held: Held, after: TaskRecord, data: bytes) -> list[Change]:
        desk = self.desk
        if not after.keep:
            with desk.view.mutex:
                return [*desk.drop(held.task, held.version), desk.count(sums_of([after]))]
        changes = [desk.put(after, held.version)]
        if after.payload is None and held.task.payload is not None:
            changes += desk.drop_bytes(payload_key(desk.queue, after.id))
        if after.result is not None and after.result.data is None:
            changes.append(desk.put_bytes(result_key(desk.queue, after.id), data))
        return changes

    def fail(
        self,
        task: Task[Any],
        error: ErrorInfo,
        *,
        retry_in: float = 0.0,
        final: bool = False,
        patience: float | None = None,
    ) -> Status:
        """RUNNING -> FAILED, or KILLED with no attempt left.

        Args:
            patience: as for `postpone`.
        """
        delay = delay_of(retry_in)
        until = time.monotonic() + (PATIENCE if patience is None else patience)
        after = self._end(task, lambda held: self._failed(held, error, delay, final=final), until)
        return after.status

    def _failed(self, held: Held, error: ErrorInfo, delay: int = 0, *, final: bool = True) -> list[Change]:
        return failed(self.desk, held, error, delay, final=final)

    def give_back(self, task: Task[Any]) -> bool:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged."""
        lease = task.lease
        if lease is None or lease.owner != self.owner.number or not self.is_ours:
            return False
        return self.give_back_id(task.id, lease.epoch)

    def give_back_id(self, task_id: int, epoch: int) -> bool:
        """The same, by id and epoch."""
        return self._put_back(task_id, epoch, lambda held: give_back(held.task), until=0.0)

    def postpone(self, task: Task[Any], seconds: float, *, patience: float | None = None) -> bool:
        """QUEUED or RUNNING -> PENDING, due in ``seconds``, nothing charged.

        Args:
            patience: seconds to wait for room in the store, a minute for None; then it is `QueueFull`, and
                the task is still ours.
        """
        lease, run_at = task.lease, moment_of(seconds)
        if lease is None or lease.owner != self.owner.number or not self.is_ours:
            return False

        def put_off(held: Held) -> TaskRecord:
            return postpone(held.task, self.desk.place(held), run_at, microseconds())

        until = time.monotonic() + (PATIENCE if patience is None else patience)
        return self._put_back(task.id, lease.epoch, put_off, until)

    def _put_back(self, task_id: int, epoch: int, moved: Callable[[Held], TaskRecord], until: float) -> bool:
        """Make a task nobody's, waiting until then for room where there is none; False if not ours now."""
        patience = Patience()
        held = self._held.get(task_id) or self.look(task_id, epoch)
        while held is not None and held.task.epoch == epoch:
            if self.desk.commit([self.desk.put(moved(held), held.version)], until, self._waits):
                self.drop(task_id)
                return True
            patience.lost(f"task {held.task.id}")
            held = self.look(task_id, epoch)
        return False

    def _following(self) -> Held | None:
        """The task that is to be started next, where one is held ahead."""
        ahead = self.stream.first_ahead() if self.stream is not None else None
        held = self._held.get(ahead.id) if ahead is not None else None
        return held if held is not None and held.task.status is Status.QUEUED else None

    def _end(
        self,
        task: Task[Any],
        ended: Callable[[Held], list[Change]],
        until: float,
        following: Held | None = None,
    ) -> TaskRecord:
        """End a run, waiting until then for room where there is none; the record as it is stored.

        Args:
            following: a task that is held, to be started by the same write.
        """
        patience, epoch = Patience(), self._epoch_of(task)
        held = self._held.get(task.id) or self.look(task.id, epoch)
        while held is not None and held.task.epoch == epoch and held.task.status is Status.RUNNING:
            changes = ended(held)
            begun = start(following.task, microseconds()) if following is not None else None
            also = [self.desk.put(begun, following.version)] if begun is not None and following else []
            versions = self.desk.commit([*changes, *also], until, self._waits)
            if versions is not None:
                self.drop(task.id)
                if begun is not None:
                    self.hold(Held(versions[-1], begun))
                return changes[0].task or held.task
            patience.lost(f"task {task.id}")
            following = None  # it may be what was changed
            self.desk.view.refresh()
            held = self.look(task.id, epoch)
        raise LeaseLost(
            f"task {task.id} was cancelled, or taken from worker {self.worker_id!r}; nothing was stored"
        )

    def _epoch_of(self, task: Task[Any]) -> int:
        lease = task.lease
        if lease is None or lease.owner != self.owner.number or not self.is_ours:
            raise LeaseLost(f"task {task.id} is not held by worker {self.worker_id!r}")
        return lease.epoch


def _no_room(size: int, error: QueueFull) -> ErrorInfo:
    return ErrorInfo(
        "NoRoom",
        f"the result of {size} bytes found no place in the queue ({error}); return less, or make room",
    )
