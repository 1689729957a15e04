"""What a layer knows about the worker that it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..backend import WorkerLease
from .events import Custom
from .stopping import Stop
from .telling import Teller

__all__ = ["WorkerContext"]


@dataclass(slots=True, eq=False)
class WorkerContext:
    """The second argument of each layer; one object for as long as its worker runs.

    Attributes:
        worker: the worker's id.
        queue: name of the queue; empty if its backend does not tell.
        lease: the worker's place in the queue.
        stop: whether the worker was told to end; read it as `stopping`.
        tasks: how many tasks this worker has run before the present one.
        teller: tells the worker's listeners; use `tell`.
    """

    worker: str
    queue: str
    lease: WorkerLease
    stop: Stop
    teller: Teller
    tasks: int = 0

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to end: what can be cut short should be."""
        return self.stop.requested

    def tell(self, name: str, data: Any = None) -> None:
        """Tell the worker's listeners something of your own, as a `Custom` event."""
        self.teller(Custom, name=name, data=data)
