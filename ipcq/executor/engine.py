"""What stands behind an executor: a queue, a Monitor, and the thread that hands results to futures."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import CancelledError, InvalidStateError
from typing import Any, NamedTuple, Protocol

from ..backends.completions import AwaitedResults
from ..backends.memory import MemoryStorage, gc
from ..codecs.buffers import Pieces
from ..errors import IpcqError, MonitorFailed, QueueFull, ResultExpired, TaskNotFound, TaskSinkError
from ..monitor import Monitor
from ..result import TaskResult
from ..status import Status
from ..task import Queue, TaskId
from .encoding import Call, Encoded, NotPicklable, Raised, encode_call
from .exiting import exiting
from .future import CallFuture
from .options import Options
from .outcome import ExecutorFailed, error_of, value_of

__all__ = ["Engine", "Run"]

_TICK = 0.5  # seconds between two looks at the Monitor
_LINGER = 0.002  # seconds that calls which nobody waits for may be late after one that was waited for
_MOMENT = 0.01  # seconds between two looks for room
_FOREVER = 1e9  # seconds that results are kept
_GRACE = 1.0  # seconds that running calls have to end after Ctrl-C


class Run(Protocol):
    """A `map` whose results were not all taken."""

    def finish(self) -> None:
        """Have all its calls made, and keep what they give."""
        ...

    def cancel(self) -> None:
        """Have none of its calls begun."""
        ...


class _Waiting(NamedTuple):
    """A call for which there was no room in the queue."""

    future: CallFuture
    data: bytes | Pieces
    options: Options


class Engine:
    """Stores calls as tasks, has them run, and settles their futures.

    Everything starts with the first call. Nothing here keeps the executor itself, so that an executor that
    nobody has any more ends by itself when its calls are done.

    Args:
        monitor: makes the Monitor of a queue with so many workers.
        most: how many workers there may be; they are started as they are needed.
        name: what the queue's name begins with.
    """

    def __init__(self, monitor: Callable[[MemoryStorage, int], Monitor], most: int, name: str) -> None:
        self._make_monitor = monitor
        self._most = most
        self._name = Queue(f"{name}-{os.getpid()}-{secrets.token_hex(4)}")
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        self._changed = threading.Condition(self._mutex)  # its own `with` is not safe from Ctrl-C
        self._open: dict[TaskId, CallFuture] = {}
        self._backlog: deque[_Waiting] = deque()
        self._runs: set[Run] = set()
        self._workers = 0
        self._arrived: deque[TaskResult[Any]] = deque()  # that no future has yet
        self._serving = 0  # the thread's identity, while it fetches results
        self._torn = False  # Ctrl-C came while results were handed out
        self._watching = False  # the thread looks for calls by itself, soon
        self._helps = 0
        self._helping = 0  # that of a thread that waits for one future, and fetches results itself
        self._closing = False
        self.failure = ""  # why it makes no calls any more
        self.thread: threading.Thread | None = None
        self._monitor: Monitor | None = None

    def __repr__(self) -> str:
        return (
            f"<Engine {self._name!r} [{len(self._open) + len(self._backlog)} calls, {self._workers} workers]>"
        )

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return self._monitor.workers if self._monitor is not None else []

    # --- starting -------------------------------------------------------------------------------

    def start(self) -> MemoryStorage:
        """Have everything ready to take calls; the queue.

        Raises:
            RuntimeError: it was shut down, or this is another process.
            ExecutorFailed: it cannot keep its workers alive.
        """
        if os.getpid() != self._pid:
            raise RuntimeError(
                f"this executor belongs to process {self._pid}, from which this one was forked; make one here"
            )
        with self._mutex:
            self._check_open()
            if self.thread is None:
                self._start()
            return self.storage

    def check(self) -> None:
        """Raise `ExecutorFailed` if it makes no calls any more."""
        if self.failure:
            raise ExecutorFailed(self.failure)

    def _check_open(self) -> None:
        self.check()
        if self._closing:
            raise RuntimeError(
                f"cannot schedule new futures after {'interpreter ' if exiting.begun else ''}shutdown"
            )

    def _start(self) -> None:
        gc(ephemeral=True)  # of programs that were killed
        storage = MemoryStorage(self._name, codec=Encoded(), result_ttl=_FOREVER, ephemeral=True)
        try:
            monitor = self._make_monitor(storage, 1)
            self._completions: AwaitedResults = storage.wait_for(())
            thread = threading.Thread(target=self._serve, name="ipcq-executor", daemon=True)
            monitor.start()
            self.storage, self._monitor, self._workers = storage, monitor, 1
            thread.start()
        except BaseException:
            storage.destroy(force=True)
            raise
        self.thread = thread
        exiting.add(self)

    def need(self, calls: int) -> None:
        """There are so many calls: have as many workers, if there may be."""
        wanted = min(self._most, calls)
        if wanted > self._workers and self._monitor is not None:
            self._workers = wanted
            self._monitor.grow(wanted)

    # --- calls ----------------------------------------------------------------------------------

    def submit(self, call: Call, options: Options) -> CallFuture:
        """Have a call made; errors as `start`, and whatever is wrong with the call is in its future."""
        self.start()
        future = CallFuture(self, call)
        try:
            data = encode_call(call)
        except NotPicklable as error:
            future.call = None
            future.set_exception(error)
            return future
        with self._mutex:
            self._check_open()
            if self._backlog or not self._push(_Waiting(future, data, options)):
                self._backlog.append(_Waiting(future, data, options))
            self.need(len(self._open) + len(self._backlog))
            if not self._watching:
                self._changed.notify_all()
        return future

    def _push(self, waiting: _Waiting) -> bool:
        """Store a call as a task; False where there is no room."""
        future, data, options = waiting
        try:
            task_id = self.storage.push(data, block=False, **options.parts())
        except QueueFull:
            return False
        except TaskSinkError as error:  # too large, whatever the room
            self._end(future, error)
            return True
        future.task_id = task_id
        self._completions.add((task_id,))
        self._open[task_id] = future  # last: what is here has a result some time, whenever Ctrl-C came
        return True

    def withdraw(self, future: CallFuture) -> bool:
        """See that a call is not made; whether that could be."""
        with self._mutex:
            for waiting in self._backlog:
                if waiting.future is future:
                    self._backlog.remove(waiting)
                    return True
        return future.task_id is not None and self.cancel(future.task_id)

    def cancel(self, task_id: TaskId) -> bool:
        """Cancel a task that did not begin; whether that could be."""
        try:
            return self.storage.cancel(task_id)
        except IpcqError:
            return False

    def has_begun(self, future: CallFuture) -> bool:
        """Whether a call is being made."""
        task_id = future.task_id
        try:
            return task_id is not None and self.storage.check_status([task_id]).get(task_id) is Status.RUNNING
        except IpcqError:
            return False

    def fetched(self, result: TaskResult[Any]) -> None:
        """Have the memory of a large result given back as soon as nobody looks at it."""
        if isinstance(result.value, memoryview):
            self.storage.forget_fetched()

    # --- maps -----------------------------------------------------------------------------------

    def add_run(self, run: Run) -> None:
        """Have the calls of a `map` made before the end."""
        with self._mutex:
            self._runs.add(run)

    def drop_run(self, run: Run) -> None:
        """All its calls were made, or need not be."""
        with self._mutex:
            self._runs.discard(run)

    def finish_later(self, run: Run) -> None:
        """Have the calls of a `map` made whose results nobody will take."""
        if self._closing:
            return  # they are made in the end
        threading.Thread(target=run.finish, name="ipcq-map", daemon=True).start()

    # --- ending ---------------------------------------------------------------------------------

    def shutdown(self, *, wait: bool, cancel: bool = False) -> None:
        """Take no more calls; end when those that there are have been made.

        Args:
            wait: return only then.
            cancel: make none that did not begin.
        """
        if os.getpid() != self._pid:
            return
        with self._mutex:
            self._closing = True
            self._changed.notify_all()
        if cancel:
            self._cancel_all()
        thread = self.thread
        if wait and thread is not None and not self._is_fetching():  # a callback would wait for itself
            thread.join()

    def abort(self) -> None:
        """End at once: calls that did not begin are cancelled, those that run have a second to end."""
        self.shutdown(wait=False, cancel=True)
        if self._monitor is not None:
            try:
                self._monitor.stop(_GRACE)
            except MonitorFailed:
                pass
        self._fail("the executor was told to end at once while this call was running")
        self.shutdown(wait=True)

    def _cancel_all(self) -> None:
        with self._mutex:
            left = [waiting.future for waiting in self._backlog] + list(self._open.values())
            runs = list(self._runs)
        for future in left:
            future.cancel()
        for run in runs:
            run.cancel()

    # --- in the thread --------------------------------------------------------------------------

    def _serve(self) -> None:
        try:
            while self._await_calls():
                if self._torn:
                    self._ask_again()
                self._take_results(_TICK)
                self._serving = 0
        except ExecutorFailed:
            pass  # all that wait were told
        except BaseException as error:
            self._fail(f"the executor met an error: {type(error).__name__}: {error}")
            raise
        finally:
            self._clear()

    def _await_calls(self) -> bool:
        """Wait for something to do; False when there will be nothing more."""
        seen = 0
        with self._mutex:
            while self._helping or not (self._open or self._backlog):
                if self._closing and not self._helping:
                    break
                # Calls that are waited for one by one are fetched by who waits; we are not woken for each.
                self._watching = self._helps != seen
                seen = self._helps
                self._changed.wait(_LINGER if self._watching else None)
                self._watching = False
            else:
                self._serving = threading.get_ident()
                return True
        for run in list(self._runs):
            run.finish()
        return False

    def help(self, future: CallFuture, timeout: float | None) -> None:
        """Fetch results in the thread that waits for one, unless another does: it is there sooner.

        Args:
            timeout: seconds to wait at the most; None for no limit.
        """
        if os.getpid() != self._pid:
            return
        if self._is_fetching():  # a callback, which waits for another call
            self._fetch_until(future, timeout)
            return
        helping = 0
        try:
            with self._mutex:
                if self._helping or self._serving or self._torn or future.task_id not in self._open:
                    return
                self._helping = helping = threading.get_ident()
                self._helps += 1
            self._fetch_until(future, timeout)
        except BaseException:
            self._torn = True
            raise
        finally:
            if helping:
                self._helping = 0  # before any call: no Ctrl-C can come in between
                with self._mutex:
                    if self._open or self._backlog or self._closing:
                        self._changed.notify_all()

    def _is_fetching(self) -> bool:
        """Whether this thread does it already: it runs a callback."""
        return threading.get_ident() in (self._helping, self._serving)

    def _fetch_until(self, future: CallFuture, timeout: float | None) -> None:
        """Fetch results until a future has its own, or ``timeout`` seconds passed."""
        until = None if timeout is None else time.monotonic() + timeout
        while not future.done():
            left = _TICK if until is None else min(_TICK, until - time.monotonic())
            if left <= 0:
                break
            self._take_results(left)

    def _take_results(self, timeout: float) -> None:
        try:
            if not self._arrived:
                self._arrived.extend(self._completions.ready(timeout))
            if not self._arrived:
                self._check_monitor()
            while self._arrived:  # not by an iterator: a callback may come here, too
                self._settle(self._arrived.popleft())
            if self._backlog:
                self._push_backlog()
                if not self._open:  # maps have all the room
                    time.sleep(_MOMENT)
        except ResultExpired as error:  # somebody removed it, by `ipcq` or a handle of their own
            future = self._open.pop(error.task_id, None)
            if future is not None:
                self._end(future, error)

    def _ask_again(self) -> None:
        """Results may have been taken that no future has: ask for all that are not awaited."""
        self._torn = False
        for task_id, future in list(self._open.items()):
            if future.done():
                self._open.pop(task_id, None)
                continue
            try:
                self._completions.add((task_id,))
            except TaskNotFound as error:
                self._end(self._open.pop(task_id), error)

    def _settle(self, result: TaskResult[Any]) -> None:
        with self._mutex:
            future = self._open.get(result.task_id)
        if future is not None and not future.done():
            self._end_by(future, result)
        self._open.pop(result.task_id, None)  # not before: see `_ask_again`
        self.fetched(result)

    def _end_by(self, future: CallFuture, result: TaskResult[Any]) -> None:
        if result.error is not None:
            error = error_of(result, future.call)
            if isinstance(error, CancelledError):
                future.withdrawn()
            else:
                self._end(future, error)
            return
        value = value_of(result)
        if isinstance(value, Raised):
            self._end(future, value.error)
            return
        future.call = None
        try:
            future.set_result(value)
        except InvalidStateError:  # cancelled in this moment
            pass

    def _end(self, future: CallFuture, error: BaseException) -> None:
        future.call = None
        try:
            future.set_exception(error)
        except InvalidStateError:
            pass

    def _push_backlog(self) -> None:
        with self._mutex:
            while self._backlog and self._push(self._backlog[0]):
                self._backlog.popleft()

    def _check_monitor(self) -> None:
        try:
            assert self._monitor is not None
            self._monitor.check()
        except MonitorFailed as error:
            self._fail(str(error))

    def _fail(self, why: str) -> None:
        with self._mutex:
            self.failure = self.failure or why
            left = [*self._open.values(), *(waiting.future for waiting in self._backlog)]
            self._open.clear()
            self._backlog.clear()
            self._changed.notify_all()
        for future in left:
            self._end(future, ExecutorFailed(self.failure))

    def _clear(self) -> None:
        assert self._monitor is not None
        try:
            self._monitor.stop()
        except MonitorFailed:
            pass
        self.storage.destroy(force=True)
