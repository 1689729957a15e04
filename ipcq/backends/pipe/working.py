"""A worker on the client's side: its lease, and the tasks that come for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any

from ...codec import Codec
from ...errors import IpcqError, LeaseLost
from ...result import ErrorInfo
from ...status import Status
from ...task import Task
from ..awaiting import AwaitedTasks
from ..liveness import own_identity
from .channels import PATIENCE, Channel, Channels, Response
from .frames import Verb
from .wire import Decoding, pack_error, pack_id, unpack_task

__all__ = ["PipeLease", "PipeStream"]

LONGEST_DELAY = 1e10  # seconds
_WAIT = 0.4  # seconds that the server keeps the question for a task


class PipeLease:
    """A worker that is registered behind the pipe. Fulfils `WorkerLease`."""

    def __init__(
        self, channels: Callable[[], Channels], worker_id: str, layers: Iterable[str], codec: Codec
    ) -> None:
        self.channels = channels
        self.worker_id = worker_id
        self._codec = codec
        self._pid = os.getpid()
        self._stop = False
        self._closed = False
        self.token = channels().call(Verb.REGISTER, worker_id, list(layers), list(own_identity())).body

    def __repr__(self) -> str:
        return f"<PipeLease of {self.worker_id!r} [{'closed' if self._closed else 'open'}]>"

    @property
    def is_ours(self) -> bool:
        """Whether it is not closed, and this process's: not of the one that this was forked from."""
        return not self._closed and self._pid == os.getpid()

    @property
    def stop_requested(self) -> bool:
        """Whether another process asked this worker to stop, as the last heartbeat was told."""
        return self._stop

    def heartbeat(self) -> None:
        """Tell the server that the worker moves."""
        self._stop = bool(self.channels().call(Verb.BEAT, self.token).body)

    def finish(self, task: Task[Any], value: Any) -> None:
        """RUNNING -> DONE with this value."""
        data = bytes(self._codec.encode(value))
        self.channels().call(Verb.FINISH, self.token, *self._held(task), blobs=[data])

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        """RUNNING -> FAILED, or KILLED with no attempt left."""
        if not retry_in < LONGEST_DELAY:
            raise ValueError(f"retry_in must be seconds, fewer than {LONGEST_DELAY:.0e}; not {retry_in!r}")
        held = self._held(task)
        return Status(
            self.channels().call(Verb.FAIL, self.token, *held, pack_error(error), retry_in, final).body
        )

    def give_back(self, task: Task[Any]) -> bool:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged."""
        if task.lease is None or not self.is_ours:
            return False
        return bool(self.channels().call(Verb.GIVE_BACK, self.token, *self._held(task)).body)

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
        self._closed = True
        self.channels().call(Verb.LEAVE, self.token, patience=patience)

    def __enter__(self) -> PipeLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(IpcqError):  # the server is gone, and gave all back
            self.close()


class PipeStream(AwaitedTasks):
    """Tasks for one worker; each question is the credit for one. Fulfils `TaskStream`."""

    def __init__(self, lease: PipeLease, prefetch: int, decoding: Decoding, *, owned: bool) -> None:
        """
        Args:
            owned: whether the lease was made for this stream and ends with it.
        """
        super().__init__(lease)
        self._lease = lease
        self._decoding = decoding
        self._owned = owned
        self._woken = False
        self._asking: Channel | None = None
        lease.channels().call(Verb.OPEN_STREAM, lease.token, prefetch)

    def __repr__(self) -> str:
        return f"<PipeStream of {self._lease.worker_id!r} [{'closed' if self._closed else 'open'}]>"

    def __iter__(self) -> Iterator[Task[Any] | None]:
        return self

    def __next__(self) -> Task[Any] | None:
        if self._closed:
            raise StopIteration
        if self._kept:
            return self._kept.popleft()
        channels = self._lease.channels()
        channel, self._asking = self._asking, None  # another thread that shares this stream asks for itself
        if channel is None:
            channel = channels.take()
            channel.begin(Verb.TAKE, [self._lease.token, _WAIT], wait=_WAIT)
        return self._answer(channels, channel)

    def _answer(self, channels: Channels, channel: Channel) -> Task[Any] | None:
        try:
            response = channel.answer(self._is_over)
        except BaseException:
            channels.give(channel)
            raise
        if response is None:  # woken: the answer is for the next call, or for `close`
            self._asking, self._woken = channel, False
            return None
        channels.give(channel)
        return self._read(response)

    def _is_over(self) -> bool:
        return self._woken

    def _read(self, response: Response) -> Task[Any] | None:
        self._woken = False if response.body is None else self._woken
        return unpack_task(response.body, response.blobs, self._decoding) if response.body else None

    def wake(self) -> None:
        """Make a `next` that waits return None; from another thread or a signal handler."""
        self._woken = True

    def close(self) -> None:
        """Give back what was handed out ahead and not started, and end the stream."""
        if self._closed:
            return
        self._closed = True
        if self._lease.is_ours:
            with suppress(IpcqError):  # the server is gone, and gave all back
                self._return_all()
        if self._owned:
            self._lease.close()

    def _return_all(self) -> None:
        self._return_kept()
        channels = self._lease.channels()
        channels.call(Verb.CLOSE_STREAM, self._lease.token)
        channel, self._asking = self._asking, None
        if channel is not None:
            try:
                response = channel.answer(lambda: False)
            finally:
                channels.give(channel)
            task = self._read(response) if response is not None else None
            if task is not None:
                self._lease.give_back(task)
