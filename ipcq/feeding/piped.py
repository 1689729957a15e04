"""`pipe_to`: a queue that is fed from a source for as long as workers poll it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import AsyncIterator, Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol

from ..backend import Backend, RegisterWorker, TaskStream, WorkerLease
from ..expose import Filter, ListTasks
from ..layer import Layer
from ..sink import TaskSink
from ..status import Status
from ..task import Task, TaskId
from .feeder import Feeder
from .letters import DeadLetter, lines
from .sources import Source, check_source

__all__ = ["Piped", "pipe_to"]

# Asked for in the order in which a task goes on, and once more: none slips through from one to the next.
_UNFINISHED = (Status.PENDING, Status.QUEUED, Status.RUNNING, Status.FAILED) * 2
_POLICIES = ("raise", "skip", "dead_letter")


class _Queue(Backend, RegisterWorker, TaskSink, ListTasks, Protocol):
    """What a queue must be able to do to be fed."""


def pipe_to(
    source: Source,
    backend: _Queue,
    on_error: str = "raise",
    *,
    dead_letter: str | os.PathLike[str] | DeadLetter | None = None,
    batch: int = 64,
    **parts: Any,
) -> Piped:
    """Feed a queue from a source; what this returns is a backend for workers.

    ``Worker("w", pipe_to(rows, queue), handle).run()`` runs ``handle`` for each row, and ends with the rows.
    Reading begins with the first worker that polls, or with `Piped.feed`. A full queue holds it up: at most
    ``batch`` items are read ahead. When the source has ended and nothing in the queue is owed a run, the
    workers that poll what this returns end. What was accepted is in the queue, whatever dies; items that were
    read and not yet accepted die with this process, at most twice ``batch`` of them.

    Args:
        source: an iterable; an async iterable, which is read by an event loop of its own; or an endpoint,
            ``ipc:///PATH`` or ``tcp://127.0.0.1:PORT``, at which PUSH sockets of ZeroMQ are heard until
            `Piped.close`: an item is the bytes of a message, or a list of them where it has several frames.
        backend: any queue.
        on_error: of items that the queue refuses (they cannot be encoded, or are too large): ``raise`` ends
            the feeding with a `PushError` that names the item, ``skip`` counts them, ``dead_letter`` keeps
            them.
        dead_letter: where: a file that gets a JSON line for each, or what is called with the item and the
            error.
        batch: how many items are pushed together, at most.
        parts: how the tasks are to be run, as for `TaskSink.push`.

    Raises:
        TypeError: the source cannot be read item by item.
        ValueError: an argument is out of bounds.
        StorageError: an endpoint that others could use.
    """
    if on_error not in _POLICIES:
        raise ValueError(f"on_error is one of {', '.join(_POLICIES)}; not {on_error!r}")
    if (on_error == "dead_letter") != (dead_letter is not None):
        raise ValueError("dead_letter= says where items are kept with on_error='dead_letter', and only then")
    if batch < 1:
        raise ValueError(f"batch must be 1 or more, not {batch!r}")
    letter: DeadLetter | None = None
    if on_error == "skip":
        letter = _skip
    elif dead_letter is not None:
        letter = dead_letter if callable(dead_letter) else lines(dead_letter)
    return Piped(backend, Feeder(check_source(source), backend, letter, batch, parts))


def _skip(_item: Any, _error: Exception) -> None:
    pass


class Piped:
    """A queue and what feeds it. Fulfils `Backend` and `RegisterWorker`; made by `pipe_to`.

    Close it, or use it as a context manager: the queue stays open, it is whose it was.
    """

    def __init__(self, backend: _Queue, feeder: Feeder) -> None:
        self.backend = backend
        self._feeder = feeder
        self._mutex = threading.Lock()
        self._begun = False
        self._thread: threading.Thread | None = None
        self._streams: weakref.WeakSet[PipedStream] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Piped {self._feeder!r} into {self.backend!r}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a source cannot be read in another process: give workers there the queue itself, and feed() here"
        )

    def __getattr__(self, name: str) -> Any:
        """Whatever else the queue can do."""
        if name == "backend":
            raise AttributeError(name)
        return getattr(self.backend, name)

    @property
    def pushed(self) -> int:
        """How many items the queue accepted."""
        return self._feeder.pushed

    @property
    def refused(self) -> int:
        """How many it did not, which were skipped or kept."""
        return self._feeder.refused

    # --- feeding --------------------------------------------------------------------------------------

    def feed(self) -> int:
        """Read the source to its end in this thread; how many items were accepted.

        Raises:
            RuntimeError: it is, or was, read already.
            PushError: an item was refused, with ``on_error="raise"``.
            BaseException: what the source raised; what was read before is pushed.
        """
        self._begin()
        try:
            self._feeder.run()
        finally:
            self._wake_all()
        return self._feeder.pushed

    def _begin(self) -> None:
        with self._mutex:
            if self._begun:
                raise RuntimeError(f"{self!r} reads its source already; a source is read once")
            self._begun = True

    def _start(self) -> None:
        """Read the source in a thread, unless somebody does, or did."""
        with self._mutex:
            if self._begun:
                return
            self._begun = True
            self._thread = threading.Thread(target=self._feed_quietly, name="ipcq-source", daemon=True)
            self._thread.start()

    def _feed_quietly(self) -> None:
        try:
            self._feeder.run()
        except BaseException:
            pass  # whoever polls is told
        self._wake_all()

    def _wake_all(self) -> None:
        """Workers with nothing to do look at once whether that was all."""
        for stream in list(self._streams):
            stream.wake()

    @property
    def ended(self) -> bool:
        """Whether the source has ended, and what was read is pushed."""
        return self._feeder.done

    def check(self) -> None:
        """Raise what ended the feeding, other than the end of the source."""
        if self._feeder.done and self._feeder.error is not None:
            raise self._feeder.error

    def drained(self) -> bool:
        """Whether the source has ended and no task in the queue is owed a run."""
        return self._feeder.done and not any(map(self._has, _UNFINISHED))

    def _has(self, status: Status) -> bool:
        return self.backend.list_tasks(filter=Filter(status, page_size=1)).total > 0

    def close(self) -> None:
        """Read nothing more, and push what was read; waits for the item that the source is about to give."""
        self._feeder.stop()
        thread = self._thread
        if thread is not None:
            thread.join()

    def __enter__(self) -> Piped:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- Backend, RegisterWorker ------------------------------------------------------------------------

    def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> WorkerLease:
        """Enter a worker; `WorkerExists` while another with this id provably lives."""
        return self.backend.register_worker(worker_id, layers=layers)

    def poll(self, worker: str | WorkerLease, *, prefetch: int = 1) -> PipedStream:
        """Tasks for one worker, until all are done; the first one that polls starts the reading."""
        stream = PipedStream(self, self.backend.poll(worker, prefetch=prefetch))
        self._streams.add(stream)
        self._start()
        return stream

    def heartbeat(self, worker: WorkerLease) -> list[TaskId]:
        """The same as ``worker.heartbeat()``."""
        return self.backend.heartbeat(worker)

    def middleware(self) -> Layer:
        """That of the queue."""
        return self.backend.middleware()


class PipedStream:
    """Tasks of a queue that is fed; it ends when all are done. Fulfils `TaskStream`."""

    def __init__(self, piped: Piped, stream: TaskStream) -> None:
        self._piped = piped
        self._stream = stream

    def __repr__(self) -> str:
        return f"<PipedStream of {self._piped!r}>"

    def __iter__(self) -> Iterator[Task[Any] | None]:
        return self

    def __next__(self) -> Task[Any] | None:
        ended = self._piped.ended
        task = self._stream.look() if ended else next(self._stream)
        if task is None:
            if self._is_over():
                raise StopIteration
            if ended:
                return next(self._stream)  # what others run may have to be run again
        return task

    def look(self) -> Task[Any] | None:
        """The next task if there is one now; while the source goes on, `next`."""
        return self._stream.look() if self._piped.ended else next(self, None)

    def __aiter__(self) -> AsyncIterator[Task[Any] | None]:
        return self

    async def __anext__(self) -> Task[Any] | None:
        task = await self._stream.__anext__()
        if task is None and self._is_over():
            raise StopAsyncIteration
        return task

    def _is_over(self) -> bool:
        self._piped.check()
        return self._piped.drained()

    def wake(self) -> None:
        """Make a `next` that waits return None; from another thread or a signal handler."""
        self._stream.wake()

    def close(self) -> None:
        """Give back what was handed out ahead and not started, and end the stream."""
        self._stream.close()
