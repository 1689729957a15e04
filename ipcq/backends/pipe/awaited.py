"""Who waits for results behind the pipe: one `Completions` of the backend for all of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...backend import WaitForCompletion
from ...errors import ResultExpired, TaskNotFound
from ...result import TaskResult
from ...task import TaskId

__all__ = ["Awaited"]

_SILENCE = 60.0  # seconds after which somebody who waits is taken to be gone; who is not asks anew
_PACE = 0.02  # seconds between two looks at tasks that others than this server pushed
_MOMENT = 0.001  # seconds: a backend looks at those only when it may wait


@dataclass
class _Waiter:
    """One who waits.

    Attributes:
        came: results that it has not fetched; None for what was removed.
    """

    ids: set[TaskId] = field(default_factory=set)
    came: deque[tuple[TaskId, TaskResult[Any] | None]] = field(default_factory=deque)
    heard: float = field(default_factory=time.monotonic)


class Awaited:
    """All who wait, by the token that each of them chose."""

    def __init__(self, backend: WaitForCompletion) -> None:
        self._backend = backend
        self._completions = backend.wait_for(())
        self._waiters: dict[bytes, _Waiter] = {}
        self._looked = 0.0
        self._askers: dict[TaskId, set[bytes]] = {}
        self._news: set[bytes] = set()
        self._left: set[TaskId] = set()  # nobody awaits them any more, but the backend was asked for them

    def __repr__(self) -> str:
        return f"<Awaited: {len(self._askers)} tasks by {len(self._waiters)}>"

    def ask(self, token: bytes, ids: Iterable[TaskId]) -> bool:
        """Wait for these, too; whether that one waited already. `TaskNotFound` asks for none of them."""
        known = token in self._waiters
        wanted = list(dict.fromkeys(ids))
        self._check_those_left(wanted)
        self._completions.add([each for each in wanted if each not in self._askers])
        waiter = self._waiters.setdefault(token, _Waiter())
        waiter.heard = time.monotonic()
        waiter.ids.update(wanted)
        for task_id in wanted:
            self._askers.setdefault(task_id, set()).add(token)
            self._left.discard(task_id)
        return known

    def _check_those_left(self, ids: Iterable[TaskId]) -> None:
        """`TaskNotFound` for one that was awaited before, and removed since: a backend says so only once."""
        left = self._left.intersection(ids)
        for task_id in left - self._backend.check_status(left).keys() if left else ():
            raise TaskNotFound(
                f"there is no task {task_id}: removed (by keep_result=False, vacuum or result_ttl)"
            )

    def forget(self, token: bytes, ids: Iterable[TaskId]) -> None:
        """One does not wait for these any more."""
        waiter = self._waiters.get(token)
        if waiter is None:
            return
        self._news.add(token)  # it may have asked, and be told that there is nothing more
        for task_id in ids:
            waiter.ids.discard(task_id)
            self._drop(task_id, token)
        if not waiter.ids and not waiter.came:
            del self._waiters[token]

    def _drop(self, task_id: TaskId, token: bytes) -> None:
        askers = self._askers.get(task_id)
        if askers is not None:
            askers.discard(token)
            if not askers:
                del self._askers[task_id]
                self._left.add(task_id)

    def fetch(self, token: bytes, most: int) -> list[tuple[TaskId, TaskResult[Any] | None]] | None:
        """What came for one; None where it is not known, or not any more."""
        waiter = self._waiters.get(token)
        if waiter is None:
            return None
        waiter.heard = time.monotonic()
        found = [waiter.came.popleft() for _ in range(min(most, len(waiter.came)))]
        if not waiter.ids and not waiter.came:
            del self._waiters[token]
        return found

    def look(self) -> set[bytes]:
        """Sort what came by who waits for it; for whom there is something, since the last look.

        This waits for a moment, fifty times a second at the most.
        """
        self.sort(_MOMENT if time.monotonic() - self._looked >= _PACE else 0.0)
        news, self._news = self._news, set()
        return news

    def sort(self, patience: float = _MOMENT) -> None:
        """The same, but tell nobody; wait so long."""
        if patience:
            self._looked = time.monotonic()
        while self._askers:
            try:
                results = self._completions.ready(patience)
                patience = 0.0
            except ResultExpired as error:
                self._came(error.task_id, None)
                continue
            for result in results:
                self._came(result.task_id, result)
            if not results:
                return

    def _came(self, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        self._left.discard(task_id)
        for token in self._askers.pop(task_id, ()):
            waiter = self._waiters[token]
            self._news.add(token)
            waiter.ids.discard(task_id)
            waiter.came.append((task_id, result))

    def tend(self, now: float) -> None:
        """Forget those who are silent: they were killed, or do not care any more."""
        for token, waiter in list(self._waiters.items()):
            if now - waiter.heard > _SILENCE:
                for task_id in waiter.ids:
                    self._drop(task_id, token)
                del self._waiters[token]
