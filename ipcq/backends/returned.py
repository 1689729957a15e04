"""Which tasks of dead owners a worker's looks for tasks returned, until its next heartbeat tells."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..task import TaskId

__all__ = ["Returned"]

_MOST = 4096  # kept where nobody asks, as who takes tasks without ever beating


class Returned:
    """Added to in one thread, fetched in another: each id once, in their order; of too many the last."""

    def __init__(self) -> None:
        self._ids: deque[TaskId] = deque(maxlen=_MOST)

    def __repr__(self) -> str:
        return f"<Returned: {len(self._ids)}>"

    def add(self, ids: Iterable[TaskId]) -> None:
        """Note that they went back to the queue."""
        self._ids.extend(ids)

    def fetch(self) -> list[TaskId]:
        """Those that were added since the last call."""
        ids = self._ids
        return [ids.popleft() for _ in range(len(ids))]
