"""A worker on the client's side: its lease, and the tasks that come for it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ...backend import WorkerRequest
from ...codec import Codec
from ...errors import IpcqError, LeaseLost, QueueClosed, QueueFull
from ...layer import ForcedStop
from ...result import ErrorInfo
from ...status import Status
from ...task import Lease, Progress, Task, TaskId
from ..liveness import own_identity
from ..parts import delay_of
from ..progress import ProgressTeller, Told
from .channels import PATIENCE, Channels, Response, was_sent_to_another
from .failures import NotRegistered
from .frames import Verb
from .wire import pack_error, pack_id, pack_ids, unpack_ids

if TYPE_CHECKING:
    from .streaming import PipeStream

__all__ = ["LAST_PATIENCE", "PipeLease"]

LAST_PATIENCE = 2.0
"""Seconds that leaving waits for a server."""
_HASTE = 0.5  # seconds that each question is given then
_NOTHING = Response(None, (), False)
_ROOM_PATIENCE = 60.0  # seconds that a worker waits for room for a value before it tells the task's owner
_TELL_PATIENCE = 2.0  # seconds that what is only shown waits for a server, while a handler does
_TOGETHER = 256  # tasks that are ended by one message
_LARGEST_PART = 16 << 20  # bytes of values in one message, unless one alone is larger


class PipeLease:
    """A worker that is registered behind the pipe. Fulfils `WorkerLease`.

    A worker that holds tasks ahead gets the next one with the answer to what it finished.
    """

    def __init__(
        self, channels: Callable[[], Channels], worker_id: str, layers: Iterable[str], codec: Codec
    ) -> None:
        self.channels = channels
        self.worker_id = worker_id
        self._layers = list(layers)
        self._codec = codec
        self._pid = os.getpid()
        self._request = WorkerRequest.RUN
        self._closed = self._in_haste = False
        self._give_up = inf  # when no server is waited for any more, by the monotonic clock
        self.stream: weakref.ref[PipeStream] | None = None  # the last one that was made of it
        self._prefetch = 0  # of that; 0 for none
        self._has: dict[TaskId, Lease] = {}
        self._entering = threading.Lock()
        self._token = 0
        self._place: list[int] | None = None
        self._teller = ProgressTeller(self._send_progress)
        self._enter(PATIENCE)

    def __repr__(self) -> str:
        return f"<PipeLease of {self.worker_id!r} [{'closed' if self._closed else 'open'}]>"

    # --- the server's knowledge of it -----------------------------------------------------------------

    def _enter(self, patience: float) -> None:
        """Register; with a new server, go on with the tasks that the last one handed us."""
        told = [self.worker_id, self._layers, list(own_identity()), self._place, pack_ids(self._has)]
        self._token, self._place = self._call(Verb.REGISTER, *told, patience=patience).body
        if self._prefetch:
            self._call(Verb.OPEN_STREAM, self._token, self._prefetch, patience=patience)

    def _call(self, verb: Verb, *body: Any, blobs: Sequence[bytes] = (), patience: float) -> Response:
        until = time.monotonic() + _HASTE  # at the least

        def gives_up() -> bool:
            return time.monotonic() >= max(until, self._give_up)

        return self.channels().call(verb, *body, blobs=blobs, patience=patience, gives_up=gives_up)

    def enter_again(self, token: int, patience: float = PATIENCE) -> None:
        """Register with a server that does not know ``token``, unless another thread did so meanwhile."""
        with self._entering:
            if self._closed:
                raise QueueClosed(f"worker {self.worker_id!r} left; register again")
            if self._token == token:
                self._enter(patience)

    def ask(self, verb: Verb, *body: Any, patience: float = PATIENCE) -> Any:
        """What the server answers to a question of this worker's; a new server gets to know it first."""
        return self._ask(verb, *body, patience=patience)[0].body

    def _ask(
        self, verb: Verb, *body: Any, blobs: Sequence[bytes] = (), patience: float = PATIENCE
    ) -> tuple[Response, int]:
        """The same, and the token under which it was asked."""
        while True:
            token = self._token
            try:
                return self._call(verb, token, *body, blobs=blobs, patience=patience), token
            except NotRegistered as unknown:
                self.enter_again(token, patience)
                if verb is Verb.FINISH and was_sent_to_another(unknown):
                    body = *body[:-1], True

    @property
    def token(self) -> int:
        """Under which the server knows this worker."""
        return self._token

    def open_stream(self, prefetch: int) -> None:
        """Have the server take so many tasks for us."""
        self._prefetch = prefetch
        self.ask(Verb.OPEN_STREAM, prefetch)

    def close_stream(self) -> None:
        """Have it give back what it took."""
        self._prefetch = 0
        self.ask(Verb.CLOSE_STREAM, patience=LAST_PATIENCE)

    def was_handed(self, tasks: Iterable[Task[Any]], token: int) -> bool:
        """Note tasks that are ours now; False where the next server was told that we do not have them.

        Args:
            token: under which it was asked for.
        """
        with self._entering:
            if self._token != token:
                return False
            self._has.update((task.id, task.lease) for task in tasks if task.lease is not None)
            return True

    def is_rid_of(self, tasks: Iterable[Task[Any]]) -> None:
        """Note tasks that are not ours any more."""
        for task in tasks:
            if self._has.get(task.id) == task.lease:
                self._has.pop(task.id, None)
                self._teller.forget(task.id)

    # --- what a worker does -----------------------------------------------------------------------------

    @property
    def is_ours(self) -> bool:
        """Whether it is not closed, and this process's: not of the one that this was forked from."""
        return not self._closed and self._pid == os.getpid()

    @property
    def request(self) -> WorkerRequest:
        """What another process asks of this worker, as the last heartbeat was told."""
        return self._request

    def heartbeat(self) -> list[TaskId]:
        """Tell the server that the worker moves, and hear what it returned of the dead's."""
        self._teller.flush()  # first: what the server cannot store at once, it stores with the heartbeat
        request, back = self.ask(Verb.BEAT, patience=LAST_PATIENCE)  # a worker's end waits for its heartbeat
        self._request = WorkerRequest(request)
        self._teller.flush()  # what a server did not hear that got to know us only now
        return unpack_ids(back)

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """Tell how far the run of a task is; sent four times a second at the most."""
        self._teller.tell(task, progress)

    def _send_progress(self, told: Sequence[Told]) -> None:
        """Tell the server, of those that are ours still; a new one hears it after the next heartbeat."""
        rows = [
            [pack_id(task.id), list(task.lease), *progress]
            for task, progress in told
            if task.lease is not None and self._has.get(task.id) == task.lease and self.is_ours
        ]
        if rows:
            self.channels().call(Verb.TELL, self._token, rows, patience=_TELL_PATIENCE)

    def finish(self, task: Task[Any], value: Any) -> None:
        """RUNNING -> DONE with this value."""
        data = bytes(self._codec.encode(value))
        stream = self.stream() if self.stream is not None else None
        response, token = self._finish([task], [data], stream is not None and stream.wants_more)
        if stream is not None:
            stream.keep(response, token)

    def hurry(self) -> None:
        """Wait for no room from now on: `ForcedStop` instead; from a signal handler, too.

        For a server, whatever is being asked, no longer than for `LAST_PATIENCE`.
        """
        self._in_haste = True
        self._give_up = min(self._give_up, time.monotonic() + LAST_PATIENCE)

    def finish_many(self, tasks: Sequence[Task[Any]], values: Iterable[Any]) -> None:
        """RUNNING -> DONE for tasks that were run together, each with its value, many in one message.

        Args:
            tasks: as `PipeStream.take_many` or `next` gave them.
            values: as many.

        Raises:
            CodecError: a value cannot be encoded; all tasks are still RUNNING.
            LeaseLost: at least one was not this worker's any more; the others are DONE.
        """
        data = [bytes(self._codec.encode(value)) for value in values]
        if len(data) != len(tasks):
            raise ValueError(f"{len(tasks)} tasks cannot be finished with {len(data)} values: each has one")
        lost: LeaseLost | None = None
        for part in _messages(data):
            try:
                self._finish(tasks[part], data[part], False)
            except LeaseLost as error:
                lost = error
        if lost is not None:
            raise lost

    def _finish(self, tasks: Sequence[Task[Any]], data: Sequence[bytes], more: bool) -> tuple[Response, int]:
        """Have runs end as there is room for their values; after a minute without they are KILLED."""
        left, until = list(zip(tasks, data, strict=True)), time.monotonic() + _ROOM_PATIENCE
        while True:
            held, blobs = [self._held(task) for task, _ in left], [value for _, value in left]
            try:
                with self._ending(*(task for task, _ in left)):
                    return self._ask(Verb.FINISH, held, more, False, blobs=blobs)
            except QueueFull as full:
                done = set(full.accepted)
                self.is_rid_of(task for task, _ in left if task.id in done)
                left = [each for each in left if each[0].id not in done]
                if self._in_haste:
                    raise ForcedStop from None
                if not full.waiting_helps or time.monotonic() > until:
                    for task, value in left:
                        self.fail(task, _no_room(len(value), full), final=True)
                    return _NOTHING, self._token

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        """RUNNING -> FAILED, or KILLED with no attempt left; waits for room as `finish`."""
        delay_of(retry_in)  # or ValueError
        told = [*self._held(task), pack_error(error), retry_in, final]
        return Status(self._ask_for_room(task, Verb.FAIL, *told))

    def give_back(self, task: Task[Any], *, patience: float = PATIENCE) -> bool:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged.

        Args:
            patience: seconds to wait for a server.
        """
        if task.lease is None or not self.is_ours:
            return False
        held = self._held(task)
        with self._ending(task):
            return bool(self.ask(Verb.GIVE_BACK, *held, patience=patience))

    def postpone(self, task: Task[Any], seconds: float) -> bool:
        """QUEUED or RUNNING -> PENDING, due in ``seconds``, nothing charged; waits for room as `finish`."""
        if task.lease is None or not self.is_ours:
            return False
        return bool(self._ask_for_room(task, Verb.POSTPONE, *self._held(task), seconds))

    def _ask_for_room(self, task: Task[Any], verb: Verb, *body: Any) -> Any:
        """Have a task put where it needs no worker, once there is room for that; a minute at the most."""
        until = time.monotonic() + _ROOM_PATIENCE
        while True:
            try:
                with self._ending(task):
                    return self.ask(verb, *body)
            except QueueFull:
                if self._in_haste:
                    raise ForcedStop from None
                if time.monotonic() > until:
                    raise

    @contextmanager
    def _ending(self, *tasks: Task[Any]) -> Iterator[None]:
        """While entered, tasks are on their way out of our hands; where no server is told, they stay ours."""
        try:
            yield
        except LeaseLost:
            self.is_rid_of(tasks)
            raise
        self.is_rid_of(tasks)

    def _held(self, task: Task[Any]) -> tuple[bytes, list[int]]:
        if task.lease is None or not self.is_ours:
            raise LeaseLost(f"task {task.id} is not held by worker {self.worker_id!r}")
        return pack_id(task.id), list(task.lease)

    def close(self, *, patience: float = PATIENCE) -> None:
        """Give everything back and leave the queue's list of workers.

        Args:
            patience: seconds to wait for a server.
        """
        if not self.is_ours:
            return
        self._prefetch = 0
        self._has.clear()
        try:
            self.ask(Verb.LEAVE, patience=patience)
        finally:
            self._closed = True

    def __enter__(self) -> PipeLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(IpcqError):  # the server is gone, and gave all back
            self.close(patience=LAST_PATIENCE)


def _messages(data: Sequence[bytes]) -> Iterator[slice]:
    """Which values go together into a message: few enough, and not too large, unless one alone is."""
    start = size = 0
    for number, value in enumerate(data):
        if number > start and (number - start >= _TOGETHER or size + len(value) > _LARGEST_PART):
            yield slice(start, number)
            start, size = number, 0
        size += len(value)
    if data:
        yield slice(start, len(data))


def _no_room(size: int, error: QueueFull) -> ErrorInfo:
    return ErrorInfo(
        "NoRoom",
        f"the result of {size} bytes found no place in the queue ({error}); return less, or make room",
    )
