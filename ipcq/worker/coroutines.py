"""Runs coroutine handlers, several at once, in one event loop; imported where there are any."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from ..backend import TaskStream
from ..layer import CallNext, ForcedStop, Layer, Overrun
from ..limits.judging import Reason, error_of
from ..task import Task, TaskId
from . import events
from .context import WorkerContext
from .injection import Injector
from .ownloop import run_in_own_loop
from .pausing import Pause
from .run import Run, awaitable_of
from .stopping import Stop
from .storing import Storing
from .telling import Teller
from .turning import Turning

__all__ = ["Coroutines"]

log = logging.getLogger("ipcq.worker")


class Coroutines:
    """Takes tasks in a thread, runs them in a loop of its own, in the thread that calls `run`, and stores how
    they ended in a third one.

    The first stop: nothing more is taken, what was held ahead goes back at once, what runs is finished. The
    second: what runs is cancelled and goes back, too. A coroutine that is cancelled and goes on has `GRACE`
    seconds; then its task is no longer its own.

    Args:
        poll: opens a stream of tasks; anew after each pause.
        pause: whether to take none for a while.
        tell: told when it pauses, and when there is nothing to do.
        acknowledge: the outermost layer, a plain one: it is called when a run is over, with what that gave,
            in a thread of its own.
        call: the handler, without its layers.
        layers: the first outermost.
        concurrency: how many run at a time.
        timeout_of: seconds that a run may take; None for no limit.
        begun: called when it is about to take its first task.
        ended: called after each run, when its end is stored.
    """

    def __init__(
        self,
        poll: Callable[[], TaskStream],
        context: WorkerContext,
        pause: Pause,
        tell: Teller,
        acknowledge: Layer,
        call: CallNext,
        layers: Iterable[Layer],
        *,
        concurrency: int,
        injector: Injector,
        timeout_of: Callable[[Task[Any]], float | None],
        begun: Callable[[], None],
        ended: Callable[[], None],
    ) -> None:
        self._poll, self._context, self._pause = poll, context, pause
        self._acknowledge, self._tell_all, self._is_idle = acknowledge, tell, False
        self._stream: TaskStream | None = None
        self._call = _chain(layers, call)
        self._concurrency, self._injector = concurrency, injector
        self._timeout_of, self._begun, self._on_end = timeout_of, begun, ended
        self._stop: Stop = context.stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._news: asyncio.Event | None = None
        self._turning: Turning | None = None
        self._runs: dict[Run, None] = {}
        self._storing = Storing(self._store, self._was_stored)
        self._stored: deque[tuple[Run, BaseException | None]] = deque()
        self._failure: BaseException | None = None
        self._late: tuple[TaskId | None, ForcedStop] = None, ForcedStop()

    def __repr__(self) -> str:
        return f"<Coroutines: {len(self._runs)} of {self._concurrency} run, {self._stop!r}>"

    def wake(self) -> None:
        """Have it look whether it is to halt; from any thread, from a signal handler too."""
        stream = self._stream
        if stream is not None:
            stream.wake()
        self.poke()

    def poke(self) -> None:
        """The same, but a look for tasks goes on."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # closed in this moment
                loop.call_soon_threadsafe(self._look)

    def watch(self) -> None:
        """Have it logged what blocks the loop; to be called twice a second, from another thread."""
        turning = self._turning
        if turning is not None and self._runs:
            turning.look()

    def overrun(self, task_id: TaskId | None, reason: Overrun) -> None:
        """Have the run of that task end so, after a forced stop was asked for; in a signal handler."""
        self._late = task_id, reason
        self.wake()

    def run(self, until_empty: bool) -> None:
        """Run tasks until told to stop; RuntimeError where a loop runs in this thread."""
        with self._storing:
            # There is something to break off only if the loop was broken.
            run_in_own_loop(lambda: self._main(until_empty), self._break_off)
        self._take_in()
        if self._failure is not None:
            raise self._failure

    async def _main(self, until_empty: bool) -> None:
        self._news, self._turning = asyncio.Event(), Turning()
        self._loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "ipcq-taking") as thread:
            async with self._injector.providing_in_loop():
                try:
                    while await self._serve(thread, until_empty):
                        await self._rest()
                except BaseException as error:
                    self._fail(error)
                self._look()
                while self._runs:
                    await self._something()

    async def _rest(self) -> None:
        self._tell_all(events.Pause)
        while self._pause.requested and not self._is_over:
            await self._something()
        if not self._is_over:
            self._tell_all(events.Resume)

    async def _serve(self, thread: ThreadPoolExecutor, until_empty: bool) -> bool:
        """Take tasks until it is to halt, and give back what is held then; whether there is more to do."""
        assert self._loop is not None
        stream = self._stream = self._poll()
        try:
            self._begun()
            return not await self._take(stream, thread, until_empty) and not self._is_over
        finally:
            self._stream = None
            await self._loop.run_in_executor(thread, stream.close)

    async def _take(self, stream: TaskStream, thread: ThreadPoolExecutor, until_empty: bool) -> bool:
        """Run what there is until it is to halt; True where there is nothing, and that is the end."""
        assert self._loop is not None
        while not self._halted:
            if len(self._runs) >= self._concurrency:
                await self._something()
                continue
            idle, changes = not self._runs, self._pause.changes
            look = stream.look if until_empty and idle else partial(next, stream, _END)
            task = await self._loop.run_in_executor(thread, look)
            woken = self._halted or changes != self._pause.changes
            if task is None and idle and not woken:
                self._tell_idle()
            if task is _END or (task is None and until_empty and idle and not woken):
                return True
            if task is not None:
                self._is_idle = False
                await self._begin(task, thread)
            del task  # or what it holds is ours until the next one comes
        return False

    def _tell_idle(self) -> None:
        if not self._is_idle:
            self._is_idle = True
            self._tell_all(events.Idle)

    @property
    def _is_over(self) -> bool:
        return self._stop.requested or self._failure is not None

    @property
    def _halted(self) -> bool:
        return self._is_over or self._pause.requested

    async def _begin(self, task: Task[Any], thread: ThreadPoolExecutor) -> None:
        assert self._loop is not None
        if self._halted:
            await self._loop.run_in_executor(thread, self._context.lease.give_back, task)
            return
        run = Run(task, lambda: self._started(task), self._ended)
        self._runs[run] = None
        timeout = self._timeout_of(task)
        if timeout is not None:
            run.end_in(timeout, lambda: _overrun(timeout))

    def _started(self, task: Task[Any]) -> Any:
        _ = task.args  # what cannot be decoded is not run; the acknowledgement says so itself
        return self._call(task, self._context.of(task))

    def _ended(self, run: Run) -> None:
        """Have it stored how it ended; until then it has its place among those that run."""
        if not run.coroutine.done():
            log.warning("task %s was cancelled, and its coroutine goes on all the same", run.task.id)
        self._storing.put(run)

    def _store(self, run: Run) -> None:
        self._acknowledge(run.task, self._context, run.outcome)

    def _was_stored(self, run: Run, error: BaseException | None) -> None:
        """In the thread that stores."""
        self._stored.append((run, error))
        loop = self._loop
        if loop is not None and len(self._stored) == 1:  # where there are more, that was said already
            with suppress(RuntimeError):  # closed in this moment
                loop.call_soon_threadsafe(self._take_in)

    def _take_in(self) -> None:
        """Note the ends that were stored."""
        while self._stored:
            run, error = self._stored.popleft()
            del self._runs[run]
            try:
                if error is None:
                    self._on_end()
            except BaseException as raised:
                error = raised
            if error is not None:  # the queue is gone, or the Monitor
                self._fail(error)
        self._tell()

    def _fail(self, error: BaseException) -> None:
        """Nothing can be taken or stored any more."""
        if self._failure is None:
            self._failure = error
            if self._stream is not None:
                self._stream.wake()
            self._break_off()
        self._tell()

    def _look(self) -> None:
        if self._stop.forced:
            self._break_off()
        self._tell()

    def _break_off(self) -> None:
        late, reason = self._late
        for run in list(self._runs):
            run.end(reason if run.task.id == late else ForcedStop())

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    async def _something(self) -> None:
        """Wait until something happens."""
        assert self._news is not None
        await self._news.wait()
        self._news.clear()


_END: Any = object()


def _chain(layers: Iterable[Layer], call: CallNext) -> CallNext:
    """One callable out of all, whose every step is to be awaited."""
    chain = awaitable_of(call)
    for layer in reversed(list(layers)):
        chain = awaitable_of(_around(getattr(layer, "awaiting", layer), chain))
    return chain


def _around(layer: Layer, call_next: CallNext) -> CallNext:
    return lambda task, context: layer(task, context, call_next)


def _overrun(timeout: float) -> Overrun:
    return Overrun(error_of(Reason.TIME, timeout, "its coroutine was cancelled"))
