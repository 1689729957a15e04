"""One thread that waits for the results of all who wait: ten thousand waits cost no more threads than one."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

from ..backend import Completions, OnProgress
from ..backends.capabilities import Every
from ..backends.progress import PACE
from ..errors import IpcqError, QueueClosed, ResultExpired, TaskNotFound, WaitTimeout
from ..status import TERMINAL
from ..task import TaskId
from .listening import Listening
from .waiters import Future, Outcome, Settled, post

__all__ = ["Collector"]

_TICK = 0.5  # seconds: the bound of every wait


class _Late(NamedTuple):
    """One whose time is over, unless the task has ended."""

    task_id: TaskId
    future: Future
    error: WaitTimeout


class _Work(NamedTuple):
    """What the thread has to do before it waits on."""

    dropped: set[TaskId]
    new: list[TaskId]
    late: list[_Late]


class Collector:
    """Sets futures by the results of their tasks.

    `ask`, `drop` and `late` are called in event loops and never wait; one thread speaks to the backend. It
    starts with the first wait.
    """

    def __init__(self, backend: Every, name: str) -> None:
        """
        Args:
            name: of the queue, for errors.
        """
        self._backend = backend
        self._name = name
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._waiting: dict[TaskId, set[Future]] = {}
        self._new: dict[TaskId, None] = {}  # in the order in which they were asked for
        self._dropped: set[TaskId] = set()  # nobody waits for these, but the backend was asked for them
        self._late: list[_Late] = []
        self._listening = Listening(backend, self._changed)
        self._told = False  # there is work
        self._closed = False
        self._thread: threading.Thread | None = None
        self._completions: Completions | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{len(self)} awaited"
        return f"<Collector of {self._name} [{state}]>"

    def __len__(self) -> int:
        """How many tasks somebody waits for."""
        return len(self._waiting)

    # --- in event loops ---------------------------------------------------------------------------

    def ask(self, futures: Mapping[TaskId, Future], on_progress: OnProgress | None = None) -> None:
        """Set each future when its task ends; in the order of their ends, if some ended before this.

        Args:
            on_progress: called in the loop of a future with how far its task is.
        """
        with self._changed:
            if self._closed:
                raise self._gone()
            self._start()
            for task_id, future in futures.items():
                if task_id in self._waiting:
                    self._waiting[task_id].add(future)
                else:
                    self._waiting[task_id] = {future}
                    self._new[task_id] = None
                if on_progress is not None:
                    self._listening.add(future, on_progress)
            if self._new or on_progress is not None:
                self._tell()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ipcq-aio-collector", daemon=True)
            self._thread.start()

    def drop(self, task_id: TaskId, future: Future) -> None:
        """``future`` is not awaited any more; nothing to do where it was set, or in a forked child."""
        if os.getpid() != self._pid:
            return  # the lock may be held by a thread that is not here
        with self._changed:
            waiters = self._waiting.get(task_id)
            if waiters is None or future not in waiters:
                return
            waiters.discard(future)
            self._listening.discard(future)
            if waiters:
                return
            del self._waiting[task_id]
            if task_id in self._new:
                del self._new[task_id]
            else:
                self._dropped.add(task_id)
                self._tell()

    def late(self, task_id: TaskId, future: Future, error: WaitTimeout) -> None:
        """The time of this wait is over: set ``error``, unless the task has ended by now."""
        with self._changed:
            self._late.append(_Late(task_id, future, error))
            self._tell()

    def _tell(self) -> None:
        """Have the thread look at its work, wherever it waits; under `_changed`."""
        if self._told:
            return
        self._told = True
        self._changed.notify_all()
        if self._completions is not None:
            with suppress(IpcqError):  # closed: its `ready` says so
                self._completions.wake()

    def _gone(self) -> QueueClosed:
        return QueueClosed(f"{self._name}: this AsyncQueue was closed; make another one")

    def stop(self) -> None:
        """End the thread soon; who still waits gets `QueueClosed`. Nothing in a forked child."""
        if os.getpid() != self._pid:
            return
        with self._changed:
            self._closed = True
            self._tell()
        self._fail_all(self._gone())

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            self._thread.join()

    # --- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        while self._turn():
            pass
        self._let_go()

    def _turn(self) -> bool:
        """Do what is to be done; a function, so that nothing of it is kept while nobody waits."""
        work = self._next()
        if work is None:
            return False
        try:
            self._do(work)
        except Exception as error:  # whatever a backend raises is for those who wait
            self._let_go()
            self._fail_all(error)
        return True

    def _next(self) -> _Work | None:
        """What is to be done; waits while nobody waits. None: it is over."""
        with self._changed:
            while not (self._told or self._waiting or self._closed):
                self._changed.wait()
            if self._closed:
                return None
            work = _Work(self._dropped, list(self._new), self._late)
            self._dropped, self._late, self._told = set(), [], False
            self._new.clear()
            return work

    def _do(self, work: _Work) -> None:
        if self._completions is None:
            self._completions = self._backend.wait_for(())
        if work.dropped:
            self._completions.discard(work.dropped)
        self._add(self._completions, work.new)
        if work.late:
            while self._collect(self._completions, 0.0):
                pass
            self._end_late(work.late)
        if self._waiting and not self._told:  # what was told before this line may not have woken `ready`
            self._collect(self._completions, _TICK)

    def _add(self, completions: Completions, ids: list[TaskId]) -> None:
        """Wait for these; of many of which one is unknown, halves are tried until only that one is left."""
        if not ids:
            return
        try:
            completions.add(ids)
        except TaskNotFound as error:
            if len(ids) == 1:
                self._settle([(ids[0], error)])
                return
            half = len(ids) // 2
            self._add(completions, ids[:half])
            self._add(completions, ids[half:])

    def _collect(self, completions: Completions, patience: float) -> bool:
        """Hand out what is there; wait for the first, or until there is work. Whether there was any."""
        self._listening.look(self._waiting)
        outcomes: list[tuple[TaskId, Outcome]]
        try:
            results = completions.ready(min(patience, PACE) if self._listening else patience)
            outcomes = [(result.task_id, result) for result in results]
        except ResultExpired as error:
            outcomes = [(error.task_id, error)]
        self._settle(outcomes)
        return bool(outcomes)

    def _end_late(self, late: Iterable[_Late]) -> None:
        """`WaitTimeout` for these, but what ended in this moment is fetched."""
        status = self._backend.check_status({each.task_id for each in self._still_waiting(late)})
        for task_id, now in status.items():
            if now in TERMINAL:
                self._fetch(task_id)
        over = self._still_waiting(late)
        for each in over:
            self.drop(each.task_id, each.future)
        post([(each.future, each.error) for each in over])

    def _still_waiting(self, late: Iterable[_Late]) -> list[_Late]:
        with self._changed:
            return [each for each in late if each.future in self._waiting.get(each.task_id, ())]

    def _fetch(self, task_id: TaskId) -> None:
        """Hand out the result of a task that has ended."""
        outcome: Outcome
        try:
            outcome = self._backend.wait(task_id, 0.0)
        except WaitTimeout:  # taken up again in between
            return
        except IpcqError as error:
            outcome = error
        self._settle([(task_id, outcome)])
        with self._changed:
            self._dropped.add(task_id)

    def _let_go(self) -> None:
        """Ask the backend for nothing any more; the next wait asks anew."""
        completions, self._completions = self._completions, None
        close: Callable[[], None] | None = getattr(completions, "close", None)
        if close is not None:
            with suppress(Exception):  # what it cannot be told, it forgets by itself
                close()

    # --- telling ----------------------------------------------------------------------------------

    def _settle(self, outcomes: list[tuple[TaskId, Outcome]]) -> None:
        """Tell all who wait for these tasks."""
        settled: list[Settled] = []
        with self._changed:
            for task_id, outcome in outcomes:
                settled += [(future, outcome) for future in self._waiting.pop(task_id, ())]
            for future, _ in settled:
                self._listening.discard(future)
        post(settled)

    def _fail_all(self, error: Exception) -> None:
        with self._changed:
            waiting, self._waiting = self._waiting, {}
            self._new.clear()
            self._dropped.clear()
            for futures in waiting.values():
                for future in futures:
                    self._listening.discard(future)
        post([(future, error) for futures in waiting.values() for future in futures])
