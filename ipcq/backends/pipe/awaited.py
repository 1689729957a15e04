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
from .bounds import AWAITED, WAITS, Quota

__all__ = ["Awaited"]

_SILENCE = 60.0  # seconds after which somebody who waits is taken to be gone; who is not asks anew
_PACE = 0.02  # seconds between two looks at tasks that others than this server pushed
_MOMENT = 0.001  # seconds: a backend looks at those only when it may wait
_LARGEST_FETCH = 64 << 20  # bytes of values in one answer, beside the last one
_MOST_CAME, _MOST_OF_ALL = 64 << 20, 512 << 20  # bytes of values that lie here for one who waits, and for all


@dataclass
class _Waiter:
    """One who waits.

    Attributes:
        client: whose it is.
        came: results that it has not fetched; None for what was removed.
        size: bytes of their values.
        pauses: whether the backend is not asked for the others, as there are too many of these.
    """

    client: bytes
    ids: set[TaskId] = field(default_factory=set)
    came: deque[tuple[TaskId, TaskResult[Any] | None]] = field(default_factory=deque)
    heard: float = field(default_factory=time.monotonic)
    size: int = 0
    pauses: bool = False


class Awaited:
    """All who wait, by the token that each of them chose."""

    def __init__(self, backend: WaitForCompletion) -> None:
        self._backend = backend
        self._completions = backend.wait_for(())
        self._waiters: dict[bytes, _Waiter] = {}
        self._looked = 0.0
        self._askers: dict[TaskId, set[bytes]] = {}
        self._news: set[bytes] = set()
        self._waits, self._tasks = Quota(WAITS), Quota(AWAITED)
        self._size = 0

    def __repr__(self) -> str:
        return f"<Awaited: {len(self._askers)} tasks by {len(self._waiters)}>"

    def ask(self, client: bytes, token: bytes, ids: Iterable[TaskId]) -> bool:
        """Wait for these, too; whether that one waited already. `TaskNotFound` asks for none of them.

        Raises:
            StorageError: that client, or all of them together, wait for too many.
        """
        waiter = self._waiters.get(token)
        known = waiter is not None
        waiter = waiter or _Waiter(client)
        wanted = [each for each in dict.fromkeys(ids) if each not in waiter.ids]
        self._tasks.take(waiter.client, len(wanted))
        try:
            if not known:
                self._waits.take(client)
            self._add(wanted, waiter, known)
        except BaseException:
            self._tasks.give(waiter.client, len(wanted))
            raise
        self._waiters[token] = waiter
        waiter.heard = time.monotonic()
        waiter.ids.update(wanted)
        if waiter.pauses:
            self._release(token, wanted)
        else:
            self._note(token, wanted)
        return known

    def _add(self, wanted: list[TaskId], waiter: _Waiter, known: bool) -> None:
        try:
            self._completions.add([each for each in wanted if each not in self._askers])
        except BaseException:
            if not known:
                self._waits.give(waiter.client)
            raise

    def _note(self, token: bytes, ids: Iterable[TaskId]) -> None:
        for task_id in ids:
            self._askers.setdefault(task_id, set()).add(token)

    def forget(self, token: bytes, ids: Iterable[TaskId]) -> None:
        """One does not wait for these any more."""
        waiter = self._waiters.get(token)
        if waiter is None:
            return
        self._news.add(token)  # it may have asked, and be told that there is nothing more
        gone = waiter.ids.intersection(ids)
        waiter.ids -= gone
        self._drop(waiter, token, gone)
        self._strike_if_over(token, waiter)

    def _strike_if_over(self, token: bytes, waiter: _Waiter) -> None:
        if not waiter.ids and not waiter.came:
            del self._waiters[token]
            self._waits.give(waiter.client)

    def _drop(self, waiter: _Waiter, token: bytes, ids: set[TaskId]) -> None:
        """It does not wait for these."""
        self._tasks.give(waiter.client, len(ids))
        self._release(token, ids)

    def _release(self, token: bytes, ids: Iterable[TaskId]) -> None:
        """Where nobody else waits for these, the backend is told that it need not be asked."""
        left = []
        for task_id in ids:
            askers = self._askers.get(task_id, set())
            askers.discard(token)
            if not askers:
                self._askers.pop(task_id, None)
                left.append(task_id)
        self._completions.discard(left)

    def fetch(self, token: bytes, most: int) -> list[tuple[TaskId, TaskResult[Any] | None]] | None:
        """What came for one; None where it is not known, or not any more."""
        waiter = self._waiters.get(token)
        if waiter is None:
            return None
        waiter.heard = time.monotonic()
        found = list[tuple[TaskId, TaskResult[Any] | None]]()
        room = _LARGEST_FETCH
        while waiter.came and len(found) < most and room > 0:
            found.append(waiter.came.popleft())
            room -= _size(found[-1][1])
        self._tasks.give(waiter.client, len(found))
        self._count(waiter, room - _LARGEST_FETCH)
        if waiter.pauses and waiter.size <= _MOST_CAME // 2:
            self._go_on(token, waiter)
        self._strike_if_over(token, waiter)
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
                break
        for token in [each for each in self._news if each in self._waiters]:
            waiter = self._waiters[token]
            if waiter.size > _MOST_CAME or (waiter.size and self._size > _MOST_OF_ALL):
                waiter.pauses = True
                self._release(token, waiter.ids)

    def _go_on(self, token: bytes, waiter: _Waiter) -> None:
        """Ask the backend again for what one waits for; what was removed meanwhile has come, as removed."""
        waiter.pauses = False
        known = self._backend.check_status(waiter.ids)
        for task_id in waiter.ids - known.keys():
            self._take_in(token, task_id, None)
        try:
            self._completions.add([each for each in waiter.ids if each not in self._askers])
        except TaskNotFound:  # another one, in this very moment: once more, at the next look
            waiter.pauses = True
        else:
            self._note(token, waiter.ids)

    def _count(self, waiter: _Waiter, size: int) -> None:
        waiter.size += size
        self._size += size

    def _came(self, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        for token in self._askers.pop(task_id, ()):
            self._take_in(token, task_id, result)

    def _take_in(self, token: bytes, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        waiter = self._waiters[token]
        self._news.add(token)
        waiter.ids.discard(task_id)
        waiter.came.append((task_id, result))
        self._count(waiter, _size(result))

    def tend(self, now: float) -> None:
        """Forget those who are silent: they were killed, or do not care any more."""
        for token, waiter in list(self._waiters.items()):
            if now - waiter.heard > _SILENCE:
                self._drop(waiter, token, waiter.ids)
                self._tasks.give(waiter.client, len(waiter.came))
                self._count(waiter, -waiter.size)
                del self._waiters[token]
                self._waits.give(waiter.client)


def _size(result: TaskResult[Any] | None) -> int:
    value = result.value if result is not None else None
    return len(value) if isinstance(value, bytes) else 0
