"""Waiting for results: one inbox for each handle, shared by all who wait in its process.

The index tells which tasks ended, in the order in which they did; the inbox hands those that are asked for to
who asked. A result is read from the store, then marked as fetched there: from then on it may give way.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any

from ...errors import CodecError, QueueClosed, QueueFull
from ...result import ErrorInfo, TaskResult
from ...status import TERMINAL, Status
from ...task import TaskId
from ..completions import AwaitedResults
from .desk import BATCH, Desk, Held, not_found
from .moves import mark_fetched
from .record import TaskRecord
from .recovery import Recovery

__all__ = ["Inbox"]


class Inbox:
    """Fetches results for everybody in this process who waits on one handle."""

    def __init__(self, desk: Desk, recovery: Recovery) -> None:
        self.desk = desk
        self._recovery = recovery
        # Weak: whoever drops a wait half-way asks no more, and its results stay for somebody else.
        self._waiting: dict[int, list[weakref.ref[AwaitedResults]]] = {}
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
        self.desk.view.wake()
        with self.desk.view.mutex:
            if self._note_end in self._index.on_end:
                self._index.on_end.remove(self._note_end)

    def _note_end(self, task_id: int) -> None:
        if task_id in self._waiting:
            self._ended.append(task_id)

    # --- asking -----------------------------------------------------------------------------------

    def ask(self, who: AwaitedResults, ids: Iterable[TaskId]) -> None:
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

    def forget(self, who: AwaitedResults, ids: Iterable[int]) -> None:
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
            view.sleep(seen, left, fruitless, lambda: self._closed or is_over())
            fruitless += 1
            self._recovery.tick()

    def look_at_all(self) -> None:
        """Fetch what is there."""
        self.await_change(lambda: False, 0.0)

    def wake(self) -> None:
        """Make everybody who waits look whether their wait is over; from a signal handler too."""
        self.desk.view.wake()

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
        """Note that these were fetched; who comes too late for one of them lets it be.

        Without room for the note they are handed out all the same, and stay for the queue's `result_ttl`.
        """
        new = [held for held in found if not held.task.fetched]
        changes = [self.desk.put(mark_fetched(held.task, held.version), held.version) for held in new]
        with suppress(QueueFull):
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
