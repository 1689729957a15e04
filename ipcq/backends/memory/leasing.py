"""A worker's place in the queue: takes tasks, ends them, gives them back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...backend import WorkerRequest
from ...errors import LeaseLost, QueueClosed, QueueFull
from ...layer import ForcedStop
from ...result import ErrorInfo
from ...status import Status
from ...task import Lease, Progress, Task, TaskId
from ..liveness import Identity
from ..parts import delay_of, microseconds, moment_of
from ..returned import Returned
from .connection import Connection
from .layout import (
    ARENA_LIMIT,
    COPY_LIMIT,
    KIND_ERROR,
    KIND_NO_ROOM,
    KIND_VALUE,
    LOST,
    M_EPOCH,
    NEED_ARENA,
    OK,
    RESULT_INLINE_BYTES,
    ROLE_WORKER,
    ST_DONE,
    ST_FAILED,
    ST_KILLED,
    ST_PENDING,
    STARTED,
)
from .participant import TICK, Participant, Place, housekeep
from .parts import Codecs, HeldTask, Holder, error_bytes, short_error_bytes, status_of
from .progress import progress_word
from .reading import Reader
from .slots import generation

if TYPE_CHECKING:
    from .streaming import MemoryStream

__all__ = ["MemoryLease"]

_TOGETHER = 64  # tasks that end in one hold of the lock
_PATIENCE = 60.0  # seconds that a worker waits for room for a result before it tells the task's owner


class MemoryLease:
    """A registered worker. Fulfils `WorkerLease`."""

    def __init__(
        self,
        reader: Reader,
        worker_id: str,
        layers: Iterable[str],
        identity: Identity | None = None,
        place: Place | None = None,
    ) -> None:
        self.reader = reader
        self.connection: Connection = reader.connection
        self.codecs: Codecs = reader.codecs
        self.worker_id = worker_id
        self.me = Participant(self.connection, ROLE_WORKER, worker_id, layers, identity, place)
        self.holder = Holder(reader.queue, reader.codecs, worker_id)
        self._exchange = self.connection.exchange
        self._kind = self.codecs.mark | KIND_VALUE
        self.stream: MemoryStream | None = None
        self._in_haste = False
        self.returned = Returned()  # by looks for tasks since the last heartbeat

    def __repr__(self) -> str:
        state = "closed" if self.me.closed else f"row {self.me.index}"
        return f"<MemoryLease of {self.worker_id!r} in {self.reader.queue!r} [{state}]>"

    @property
    def place(self) -> Place:
        """What `MemoryStorage.register_worker` goes on with in another process."""
        return self.me.place

    @property
    def request(self) -> WorkerRequest:
        """What another process asks of this worker."""
        return WorkerRequest(self.me.request)

    def hurry(self) -> None:
        """Wait for no room from now on: `ForcedStop` instead; from a signal handler, too."""
        self._in_haste = True
        self.me.rouse()

    def heartbeat(self) -> list[TaskId]:
        """Tell people that the worker moves, and do its share of the queue's housekeeping."""
        back = self.me.heartbeat()
        return self.returned.fetch() + back

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """Tell how far the run of a task is."""
        try:
            place = self._place_of(task)
        except LeaseLost:
            return
        self._exchange.tell(place, self.me.index, progress_word(progress))

    def finish(self, task: Task[Any], value: Any, *, patience: float | None = None) -> None:
        """RUNNING -> DONE with this value; mostly in one hold of the lock with the start of the next task.

        Args:
            patience: seconds to wait for room for the value, then it is `QueueFull`, and the task is RUNNING
                still; None to wait for a minute, and make it KILLED then.
        """
        data = self.codecs.own.encode(value)
        if len(data) > COPY_LIMIT:
            self._end(task, ST_DONE, self._kind, data, 0, patience=patience)
            return
        stream = self.stream
        following = stream.next_held() if stream is not None and stream.held else None
        code, started = self._exchange.finish(
            task.held if type(task) is HeldTask and not self.me.closed else self._lease_of(task),
            self.me.index,
            self._kind,
            data,
            following,
            time_ns() // 1000,
        )
        if stream is not None and following is not None:
            if started is not None:
                stream.ahead.append(started)
            elif code != OK and code != STARTED:  # else it was taken away
                stream.held.appendleft(following)
        if code == LOST:
            raise self._lost(task)
        if code != OK and code != STARTED:
            self._end(task, ST_DONE, self._kind, data, 0, patience=patience)

    def finish_many(
        self, tasks: Sequence[Task[Any]], values: Iterable[Any], *, patience: float | None = None
    ) -> None:
        """RUNNING -> DONE for tasks that were run together, each with its value, many in one step.

        Args:
            tasks: as `MemoryStream.take_many` or `next` gave them.
            values: as many.
            patience: as for `finish`.

        Raises:
            CodecError: a value cannot be encoded; all tasks are still RUNNING.
            LeaseLost: at least one was not this worker's any more; the others are DONE.
            QueueFull: no room came for at least one; ``accepted`` are those that are DONE.
        """
        data = [self.codecs.own.encode(value) for value in values]
        if len(data) != len(tasks):
            raise ValueError(f"{len(tasks)} tasks cannot be finished with {len(data)} values: each has one")
        lost: list[Task[Any]] = []
        late: list[Task[Any]] = []
        full: QueueFull | None = None
        for start in range(0, len(tasks), _TOGETHER):
            end = start + _TOGETHER
            full = self._finish_part(tasks[start:end], data[start:end], lost, late, patience) or full
        if full is not None:
            others = {task.id for task in (*lost, *late)}
            full.accepted = [task.id for task in tasks if task.id not in others]
            raise full
        if lost:
            raise self._lost(lost[0])

    def _finish_part(
        self,
        tasks: Sequence[Task[Any]],
        data: list[bytes],
        lost: list[Task[Any]],
        late: list[Task[Any]],
        patience: float | None,
    ) -> QueueFull | None:
        """`finish_many` in one hold of the lock; where a result is large, each in its own.

        Args:
            lost: gets those that are not ours any more.
            late: gets those for which no room came; the error for them is returned.
        """
        codes = [NEED_ARENA] * len(tasks)
        if max(map(len, data)) <= COPY_LIMIT:
            places = [self._place_of(task) for task in tasks]
            codes = self._exchange.finish_many(places, self.me.index, self._kind, data, microseconds())
        full = None
        for task, result, code in zip(tasks, data, codes, strict=True):
            if code == LOST:
                lost.append(task)
            elif code != OK:
                try:
                    self._end(task, ST_DONE, self._kind, result, 0, patience=patience)
                except LeaseLost:
                    lost.append(task)
                except QueueFull as error:
                    late.append(task)
                    full = error
        return full

    def has_finished(self, task_id: TaskId, lease: Lease) -> bool:
        """Whether the run under that lease ended as DONE: for who sent its value and was not answered."""
        slot = self.reader.find(task_id)
        return (
            slot is not None
            and (slot.number, generation(slot.word)) == (lease.slot, lease.generation)
            and slot.meta[M_EPOCH] == lease.epoch
            and status_of(slot.word) is Status.DONE
            and self.reader.unchanged(slot)
        )

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
            patience: as for `finish`; of no concern, for an error without room is told in a few words.
        """
        run_at = microseconds() + delay_of(retry_in)
        status = self._end(
            task, ST_KILLED if final else ST_FAILED, KIND_ERROR, error_bytes(error), run_at, error
        )
        return Status(status - ST_PENDING)

    def give_back(self, task: Task[Any]) -> bool:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged."""
        lease = task.lease
        if lease is None or lease.owner != self.me.index:
            return False
        return self.give_back_slot(lease.slot, lease.generation, lease.epoch)

    def postpone(self, task: Task[Any], seconds: float, *, patience: float | None = None) -> bool:
        """QUEUED or RUNNING -> PENDING, due in ``seconds``, nothing charged.

        Args:
            patience: as for `finish`; of no concern, for this needs no room.
        """
        lease = task.lease
        run_at = moment_of(seconds)
        if lease is None or lease.owner != self.me.index:
            return False
        connection = self.connection
        code = connection.call(
            connection.amend.postpone,
            lease.slot, lease.generation, lease.epoch, self.me.index, run_at, microseconds(),
        )  # fmt: skip
        return bool(code == OK)

    def give_back_slot(self, slot: int, gen: int, epoch: int) -> bool:
        """The same, by where it is and its epoch."""
        connection = self.connection
        code = connection.call(connection.deliver.give_back, slot, gen, epoch, self.me.index)
        return bool(code == OK)

    def close(self) -> None:
        """Give everything back and leave the queue's list of workers."""
        self.me.close()

    def __enter__(self) -> MemoryLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except QueueClosed:
            pass  # destroyed meanwhile: nothing is left to give back

    # --- ending ---------------------------------------------------------------------------------

    def _place_of(self, task: Task[Any]) -> tuple[Any, ...]:
        """Slot, generation and epoch of a task of ours, and more behind them."""
        if type(task) is HeldTask and not self.me.closed:
            return task.held
        return self._lease_of(task)

    def _lost(self, task: Task[Any]) -> LeaseLost:
        return LeaseLost(
            f"task {task.id} was cancelled, or taken from worker {self.worker_id!r}; nothing was stored"
        )

    def _end(
        self,
        task: Task[Any],
        status: int,
        kind: int,
        data: bytes | memoryview,
        run_at: int,
        error: ErrorInfo | None = None,
        patience: float | None = None,
    ) -> int:
        """End a run with ``data``, waiting for room where there is none; the status it got."""
        lease = self._lease_of(task)
        seconds = _PATIENCE if patience is None else patience
        until = time.monotonic() + (seconds if error is None else 0.0)
        if len(data) > COPY_LIMIT:
            if not self._write_large(lease, data, until):
                status, kind, data = self._without_room(status, kind, data, error, patience)
                return self._commit(task, lease, status, kind, data, run_at, until)
            return self._commit(task, lease, status, kind, b"", run_at, until)
        return self._commit(task, lease, status, kind, data, run_at, until, error, patience)

    def _lease_of(self, task: Task[Any]) -> Lease:
        lease = task.lease
        if lease is None or lease.owner != self.me.index or self.me.closed:
            raise LeaseLost(f"task {task.id} is not held by worker {self.worker_id!r}")
        return lease

    def _commit(
        self,
        task: Task[Any],
        lease: Lease,
        status: int,
        kind: int,
        data: bytes | memoryview,
        run_at: int,
        until: float,
        error: ErrorInfo | None = None,
        patience: float | None = None,
    ) -> int:
        connection = self.connection
        while True:
            with connection.turn:
                code = connection.run(
                    connection.finish.end,
                    lease.slot,
                    lease.generation,
                    lease.epoch,
                    self.me.index,
                    status,
                    kind,
                    memoryview(data),
                    len(data),
                    run_at,
                    microseconds(),
                )
                got: int = connection.out[0]
            if code == OK:
                return got
            if code == LOST:
                if not data:  # a file that was written for it would be nobody's
                    connection.blobs.retire(lease.slot, lease.generation, lease.epoch)
                raise self._lost(task)
            if not self._make_room(until):
                status, kind, data = self._without_room(status, kind, data, error, patience)

    def _without_room(
        self,
        status: int,
        kind: int,
        data: bytes | memoryview,
        error: ErrorInfo | None,
        patience: float | None,
    ) -> tuple[int, int, bytes]:
        """What is stored instead when there is no room: always something that lies in the slot."""
        if error is not None:
            return status, kind, short_error_bytes(error, RESULT_INLINE_BYTES)
        if patience is not None:
            full = QueueFull(f"queue {self.reader.queue!r} has no room for a result of {len(data)} bytes")
            full.waiting_helps = not self._is_too_large(data)
            raise full
        return ST_KILLED, KIND_NO_ROOM, len(data).to_bytes(8, "little")

    def _write_large(self, lease: Lease, data: bytes | memoryview, until: float) -> bool:
        """Reserve room for a result and copy it there, without the lock; False where there is none."""
        connection = self.connection
        blob = len(data) > ARENA_LIMIT
        if self._is_too_large(data):
            return False
        while True:
            with connection.turn:
                code = connection.run(
                    connection.finish.reserve_result,
                    lease.slot,
                    lease.generation,
                    lease.epoch,
                    self.me.index,
                    len(data),
                    blob,
                )
                block = connection.out[0]
            if code in (OK, LOST):
                break
            if not self._make_room(until, arena=code == NEED_ARENA):
                return False
        if code == LOST:
            return True  # the commit that follows says so
        if not blob:
            connection.arena_view(block, len(data))[:] = data
            return True
        try:
            connection.blobs.write(lease.slot, lease.generation, lease.epoch, data)
        except QueueFull:
            return False
        return True

    def _is_too_large(self, data: bytes | memoryview) -> bool:
        settings = self.connection.settings
        return len(data) > (settings.blob_bytes if len(data) > ARENA_LIMIT else settings.arena_bytes)

    def _make_room(self, until: float, *, arena: bool = True) -> bool:
        """Make or await room for a result; False when it takes too long."""
        connection = self.connection
        if arena:
            try:
                if connection.grow_arena():
                    return True
            except QueueFull:
                pass
        if connection.call(connection.accept.make_room, 16):
            return True
        left = until - time.monotonic()
        if left <= 0:
            return False
        seen = connection.call(connection.finish.wait_for_room, self.me.index)
        try:
            if self._in_haste:
                raise ForcedStop
            self.me.sleep(seen, min(left, TICK))
        finally:
            connection.call(connection.finish.found_room, self.me.index)
        housekeep(connection)
        return True
