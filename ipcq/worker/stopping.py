"""How a worker is told to end, and where a forced stop may break in."""

from __future__ import annotations

from typing import Any

from ..layer import CallNext, ForcedStop
from ..task import Task
from .forks import end_fork, forks

__all__ = ["Stop"]


class Stop:
    """Whether a worker is to end; as a layer, it is the door through which `force` breaks in.

    `force` raises out of a signal handler, between any two steps of the main thread. Inside the
    backend that would do harm, so the door is open only while user code (layers, handler) runs,
    and whoever comes through shuts it: one run is interrupted once, and its ``finally`` blocks
    are left alone. There is no gap: a signal before the door opens is seen by the check behind
    it; one after it shut finds the run over, and what it gave is stored as usual.

    Attributes:
        requested: end after the present task.
        forced: give the present task back.
    """

    __slots__ = ("_open", "forced", "requested")

    def __init__(self) -> None:
        self.requested = False
        self.forced = False
        self._open = False

    def request(self) -> None:
        """Have the worker end after its present task."""
        self.requested = True

    def force(self) -> None:
        """Break into what runs; to be called in its own thread, that is, from a signal handler.

        Raises:
            ForcedStop: user code is running.
        """
        self.requested = self.forced = True
        if self._open:
            self._open = False
            raise ForcedStop

    def interrupt(self, reason: ForcedStop) -> None:
        """Raise ``reason`` in what runs, if user code does; nothing is asked of the next run."""
        if self._open:
            self._open = False
            raise reason

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Run what is inside with the door open: the layer just inside the acknowledgement."""
        fork = forks.count
        self._open = True
        try:
            if self.forced:
                raise ForcedStop
            return call_next(task, context)
        finally:
            self._open = False
            if fork != forks.count:
                end_fork()

    def __repr__(self) -> str:
        return f"<Stop: {'forced' if self.forced else 'requested' if self.requested else 'not asked'}>"
