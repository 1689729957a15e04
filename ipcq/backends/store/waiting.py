"""Waiting for results: one inbox for each handle, shared by all who wait in its process.

The index tells which tasks ended, in the order in which they did; the inbox hands those that are asked for to
who asked. A result is read from the store, then marked as fetched there: from then on it may give way.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from ...errors import CodecError, QueueClosed, ResultExpired, WaitTimeout
from ...result import ErrorInfo, TaskResult
from ...status import TERMINAL, Status
from ...task import TaskId
from .desk import BATCH, Desk, Held, not_found
from .moves import mark_fetched
from .record import TaskRecord
from .recovery import TICK, Recovery

__all__ = ["Inbox", "StoreCompletions"]


class Inbox:
    """Fetches results for everybody in this process who waits on one handle."""

    def __init__(self, desk: Desk, recovery: Recovery) -> None:
        self.desk = desk
        self._recovery = recovery
        # Weak: whoever drops a wait half-way asks no more, and its results stay for somebody else.
        self._waiting: dict[int, list[weakref.ref[StoreCompletions]]] = {}
        self._ended: deque[int] = deque()  # awaited tasks of which the index told that they ended
        self._gone: deque[int] = deque()  # those of them that were removed
        self._rebuilt = desk.view.rebuilt
        self._closed = False
        self._fetching = threading.Lock()
        with desk.view.mutex:
            self._index = desk.index
            self._index.on_end.append(self._note_end)

    def __repr__(self) -> str:
        return f"<Inbox of {self.desk.queue!r} [{len(self._waiting)} awaited]>"

    def close(self) -> None:
        """Listen no more; who waits is told."""
        self._closed = True
        with self.desk.view.mutex:
            if self._note_end in self._index.on_end:
                self._index.on_end.remove(self._note_end)

    def _note_end(self, task_id: int) -> None:
        if task_id in self._waiting:
            self._ended.append(task_id)

    # --- asking -----------------------------------------------------------------------------------

    def ask(self, who: StoreCompletions, ids: Iterable[TaskId]) -> None:
        """Have the results of ``ids`` handed to ``who``; `TaskNotFound` asks for none of them."""
        wanted = list(ids)
        self.desk.view.refresh()
        with self.desk.view.mutex:
            tasks = self.desk.index.tasks
            for task_id in wanted:
                if task_id not in tasks:
                    raise not_found(self.desk.queue, task_id)
            for task_id in wanted:
                self._waiting.setdefault(task_id, []).append(who.reference)
            done = [task_id for task_id in wanted if tasks[task_id].is_finished]
            self._ended.extend(sorted(done, key=lambda task_id: tasks[task_id].done_seq))

    def forget(self, who: StoreCompletions, ids: Iterable[int]) -> None:
        """``who`` does not wait for these any more."""
        with self.desk.view.mutex:
            for task_id in ids:
                askers = self._waiting.get(task_id, [])
                if who.reference in askers:
                    askers.remove(who.reference)
                if not askers:
                    self._waiting.pop(task_id, None)

    # --- fetching ---------------------------------------------------------------------------------

    def await_change(self, is_over: Callable[[], bool], timeout: float) -> None:
        """Fetch what is there; else wait until something is, `is_over`, or ``timeout`` s passed."""
        until, fruitless, view = time.monotonic() + timeout, 0, self.desk.view
        while not is_over():
            self._check_open()
            view.refresh()
            seen = view.seen
            self._fetch()
            left = until - time.monotonic()
            if is_over() or left <= 0:
                return
            view.sleep(seen, left, fruitless)
            fruitless += 1
            self._recovery.tick()

    def _check_open(self) -> None:
        if self._closed:
            raise QueueClosed(f"queue {self.desk.queue!r}: this handle was closed while somebody waited")

    def _fetch(self) -> None:
        """Hand out the results of what ended, in that order; then, if there were none, what is gone."""
        with self._fetching:
            self._look_at_all_if_rebuilt()
            came = False
            while self._ended:
                part = self._first_ended()
                came |= self._fetch_part(
                    [task_id for task_id in dict.fromkeys(part) if self._is_asked(task_id)]
                )
                for _ in part:  # not before: an interrupt may come until here
                    self._ended.popleft()
            while self._gone and not came:  # else an error would come before results that are there
                self._hand_out(TaskId(self._gone[0]), None)
                self._gone.popleft()

    def _first_ended(self) -> list[int]:
        with self.desk.view.mutex:  # others add to it
            return list(islice(self._ended, BATCH))

    def _look_at_all_if_rebuilt(self) -> None:
        """Who was told nothing while the index was made anew."""
        view = self.desk.view
        with view.mutex:
            if self._rebuilt == view.rebuilt:
                return
            self._rebuilt = view.rebuilt
            tasks = self.desk.index.tasks
            gone = [i for i in self._waiting if i not in tasks]
            done = [i for i in self._waiting if i in tasks and tasks[i].is_finished]
            self._ended.extend([*gone, *sorted(done, key=lambda i: tasks[i].done_seq)])

    def _fetch_part(self, ids: list[int]) -> bool:
        """Whether there were results."""
        found = [self.desk.load(TaskId(task_id)) for task_id in ids]
        results = [None if held is None else self._result(held.task) for held in found]
        self._mark([held for held in found if held is not None and held.task.status in TERMINAL])
        self._gone.extend(task_id for task_id, held in zip(ids, found, strict=True) if held is None)
        there = [result for result in results if result is not None]
        for result in there:
            self._hand_out(result.task_id, result)
        return bool(there)

    def _mark(self, found: list[Held]) -> None:
        """Note that these were fetched; who comes too late for one of them lets it be."""
        new = [held for held in found if not held.task.fetched]
        changes = [self.desk.put(mark_fetched(held.task, held.version), held.version) for held in new]
        if changes and self.desk.view.commit(changes) is None and len(changes) > 1:
            for change in changes:
                self.desk.view.commit([change])

    def _result(self, task: TaskRecord) -> TaskResult[Any] | None:
        """The outcome in a record; None where there is none: it is to be run once more."""
        if task.status is Status.KILLED:
            lost = ErrorInfo("ErrorLost", "the error was not readable")
            return TaskResult(task.id, Status.KILLED, None, task.error or lost)
        if task.status is not Status.DONE:
            return None
        data = self.desk.result(task)
        if data is None:
            gone = ErrorInfo("ResultLost", "the result was stored, and is not there any more")
            return TaskResult(task.id, Status.DONE, None, gone)
        try:
            value = self.desk.codecs.find(task.result_codec).decode(data)
            return TaskResult(task.id, Status.DONE, value, None)
        except CodecError as error:
            return TaskResult(task.id, Status.DONE, None, ErrorInfo.from_exception(error))

    def _is_asked(self, task_id: int) -> bool:
        """Whether anybody still waits for it."""
        with self.desk.view.mutex:
            askers = [each for each in self._waiting.get(task_id, ()) if each() is not None]
            if not askers:
                self._waiting.pop(task_id, None)
            return bool(askers)

    def _hand_out(self, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        """Give a result to who asked for it; None: it was removed."""
        with self.desk.view.mutex:
            for reference in self._waiting.pop(task_id, ()):
                asker = reference()
                if asker is not None:
                    asker.take_in(task_id, result)


class StoreCompletions:
    """Results in the order in which they came. Fulfils `Completions`."""

    def __init__(self, inbox: Inbox, ids: Iterable[TaskId], timeout: float | None) -> None:
        self.reference = weakref.ref(self)
        self._inbox = inbox
        self._until = None if timeout is None else time.monotonic() + timeout
        self._timeout = timeout
        self._open: set[int] = set()
        self._came: deque[tuple[TaskId, TaskResult[Any] | None]] = deque()
        self._woken = False
        self.add(ids)

    def __repr__(self) -> str:
        return f"<StoreCompletions [{len(self._came)} ready, {len(self)} awaited]>"

    def __len__(self) -> int:
        return len(self._open)

    def add(self, ids: Iterable[TaskId]) -> None:
        """Wait for these too."""
        new = [task_id for task_id in dict.fromkeys(ids) if task_id not in self._open]
        self._open.update(new)
        try:
            if new:
                self._inbox.ask(self, new)
        except BaseException:
            self._open.difference_update(new)
            self._inbox.forget(self, new)
            raise

    def ready(self, timeout: float | None = 0.0) -> list[TaskResult[Any]]:
        """All results that are there, waiting up to ``timeout`` seconds for the first."""
        if not self._came and self._open:
            until = None if timeout is None else time.monotonic() + timeout
            while not self._is_over():
                left = TICK if until is None else until - time.monotonic()
                self._inbox.await_change(self._is_over, max(0.0, min(left, TICK)))
                if left <= 0:
                    break
        self._woken = False
        results: list[TaskResult[Any]] = []
        while self._came and (self._came[0][1] is not None or not results):
            results.append(self._next())  # an error waits for the next call: these came before it
        return results

    def wake(self) -> None:
        """Make a `ready` that waits in another thread return."""
        self._woken = True

    def _is_over(self) -> bool:
        return bool(self._came or self._woken or not self._open)

    def _next(self) -> TaskResult[Any]:
        task_id, result = self._came.popleft()
        if result is None:
            raise ResultExpired(
                f"the result of task {task_id} was removed before it was fetched; fetch earlier, or raise"
                " result_ttl="
            )
        return result

    def take_in(self, task_id: TaskId, result: TaskResult[Any] | None) -> None:
        """Called with what was awaited; None: it was removed."""
        if task_id in self._open:
            self._came.append((task_id, result))
            self._open.discard(task_id)

    # --- iterating --------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[TaskResult[Any]]:
        return self

    def __next__(self) -> TaskResult[Any]:
        while not self._came:
            if not self._open:
                raise StopIteration
            self._wait_a_tick()
        return self._next()

    def _wait_a_tick(self) -> None:
        """Wait for a result, half a second at the most; `WaitTimeout` when the time is over."""
        left = TICK if self._until is None else self._until - time.monotonic()
        self._woken = False
        self._inbox.await_change(self._is_over, max(0.0, min(left, TICK)))
        if left <= 0 and not self._came:
            count = len(self._open)
            self.close()
            raise WaitTimeout(
                f"waited {self._timeout:g} s; {count} of the tasks have not finished; they go on"
            )

    def __aiter__(self) -> StoreCompletions:
        return self

    async def __anext__(self) -> TaskResult[Any]:
        while not self._came:
            if not self._open:
                raise StopAsyncIteration
            await asyncio.to_thread(self._wait_a_tick)  # a thread nobody awaits any more ends soon
        return self._next()

    def close(self) -> None:
        """Wait for nothing any more."""
        self._inbox.forget(self, list(self._open))
        self._open.clear()
