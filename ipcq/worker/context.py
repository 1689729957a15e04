"""What a layer knows about the worker that it runs in."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..backend import WorkerLease
from ..errors import IpcqError
from ..task import Progress, Task
from .events import Custom
from .stopping import Stop
from .telling import Teller

__all__ = ["WorkerContext"]


@dataclass(slots=True, eq=False)
class WorkerContext:
    """The second argument of each layer: the worker, and the task that it runs.

    One object for as long as its worker runs, where that runs one task at a time; a handler that asks for it,
    and each of several runs at a time, gets one of its own.

    Attributes:
        worker: the worker's id.
        queue: name of the queue; empty if its backend does not tell.
        lease: the worker's place in the queue.
        stop: whether the worker was told to end; read it as `stopping`.
        tasks: how many tasks this worker has run before the present one.
        teller: tells the worker's listeners; use `tell`.
        task: which is run; None between two of them.
    """

    worker: str
    queue: str
    lease: WorkerLease
    stop: Stop
    teller: Teller
    tasks: int = 0
    task: Task[Any] | None = None

    def of(self, task: Task[Any]) -> WorkerContext:
        """The context of one run, which stays that one's, whatever the worker runs next."""
        return WorkerContext(self.worker, self.queue, self.lease, self.stop, self.teller, self.tasks, task)

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to end: what can be cut short should be."""
        return self.stop.requested

    def tell(self, name: str, data: Any = None) -> None:
        """Tell the worker's listeners something of your own, as a `Custom` event."""
        self.teller(Custom, name=name, data=data)

    def progress(self, done: float, total: float | None = None) -> None:
        """Tell how far the task is, for those who wait for it and for listings; each call replaces the last.

        It is as cheap as to be called for every step, from any thread. It is only shown: where the backend
        cannot show it, or cannot be reached, or the task is not this worker's any more, nothing happens. A
        run that begins anew has told nothing.

        Args:
            done: how much is done, in any unit; it may be more than ``total``.
            total: how much there is in all; None where nobody knows.

        Raises:
            ValueError: a number is negative, or not finite.
        """
        told = Progress.of(done, total)
        if self.task is not None:
            with suppress(IpcqError):  # the end of the run meets what lasts
                self.lease.progress(self.task, told)
