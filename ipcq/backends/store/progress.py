"""How far the runs of a worker are, on its way into the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...status import Status
from ...task import Progress, Task
from ..parts import chunks
from ..progress import Told
from .desk import BATCH, Held
from .moves import tell
from .view import Change

if TYPE_CHECKING:
    from .leasing import StoreLease

__all__ = ["StoredProgress"]


class StoredProgress:
    """Stores what runs told, of those that are the worker's still; the others are nobody's affair."""

    def __init__(self, lease: StoreLease) -> None:
        self._lease = lease
        self._view = lease.desk.view

    def __repr__(self) -> str:
        return f"<StoredProgress of {self._lease!r}>"

    def __call__(self, told: Sequence[Told]) -> None:
        """Many by one write; where one of them was taken away meanwhile, each by its own."""
        for part in chunks(told, BATCH):
            found = [(held, self._change(held, new)) for task, new in part if (held := self._running(task))]
            if not self._store(found) and len(found) > 1:
                for each in found:
                    self._store([each])

    def _change(self, held: Held, progress: Progress) -> Change:
        return self._lease.desk.put(tell(held.task, progress), held.version)

    def _running(self, task: Task[Any]) -> Held | None:
        """The record of a run that is ours."""
        lease, owned = self._lease, task.lease
        if owned is None or owned.owner != lease.owner.number or not lease.is_ours:
            return None
        held = lease.held(task.id) or lease.look(task.id, owned.epoch)
        runs = held is not None and held.task.epoch == owned.epoch and held.task.status is Status.RUNNING
        return held if runs else None

    def _store(self, found: Sequence[tuple[Held, Change]]) -> bool:
        versions = self._view.commit([change for _, change in found], lightly=True) if found else []
        if versions is None:
            return False
        for (before, change), version in zip(found, versions, strict=True):
            if change.task is not None:
                self._lease.replace(before, Held(version, change.task))
        return True
