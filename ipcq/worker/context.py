"""What a layer knows about the worker that it runs in."""

from __future__ import annotations

from dataclasses import dataclass

from ..backend import WorkerLease
from .postponing import Postponing
from .stopping import Stop

__all__ = ["WorkerContext"]


@dataclass(slots=True, eq=False)
class WorkerContext:
    """The second argument of each layer; one object for as long as its worker runs.

    Attributes:
        worker: the worker's id.
        queue: name of the queue; empty if its backend does not tell.
        lease: the worker's place in the queue.
        postpone: puts a task off at no charge; raise `PutOff` in a layer instead of calling it.
        stop: whether the worker was told to end; read it as `stopping`.
        tasks: how many tasks this worker has run before the present one.
    """

    worker: str
    queue: str
    lease: WorkerLease
    postpone: Postponing
    stop: Stop
    tasks: int = 0

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to end: what can be cut short should be."""
        return self.stop.requested
