"""A worker: takes tasks from one backend and calls one handler."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from contextlib import closing, nullcontext
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

from ..backend import Backend, RegisterWorker, TaskStream, WorkerLease, WorkerRequest
from ..layer import CallNext, Layer, Overrun, compose
from ..logs.hooks import hooked
from ..logs.running import Forwarding
from ..task import Task, TaskId
from . import events
from .checking import check_backend, check_layers, check_listener, check_provide
from .context import WorkerContext
from .handler import Handler, check_handler, resolve
from .heartbeat import Heartbeat
from .injection import Injector, Prepares, Provide
from .kinds import awaits, check_kinds
from .pausing import Pause
from .signals import stop_signals
from .state import WorkerState
from .stopping import Stop
from .telling import Listener, Teller

if TYPE_CHECKING:
    from .coroutines import Coroutines

__all__ = ["Worker", "WorkerBackend"]


class WorkerBackend(Backend, RegisterWorker, Protocol):
    """What a worker needs of a backend."""


class Worker:
    """Takes tasks from a backend and calls a handler, one at a time, in the thread that runs it.

    A coroutine function is awaited in an event loop of the worker, ``concurrency`` of them at once.

    In the main thread SIGINT and SIGTERM end it while it runs. The first: finish what runs, give
    back what was only held, leave. The second: give back what runs, too.

    Args:
        name: unique in its queue while it lives; None for one made of host, process and chance.
        backend: where tasks come from and results go.
        handler: called with the arguments of each task; a function or ``module:function``, a `Router`,
            a `TaskQueue`. Its other parameters are found by their annotations: `TaskId`, `Attempt`, `Task`,
            `WorkerContext`, and the classes of ``provide``.
        layers: callables around the handler, the first outermost.
        concurrency: how many tasks to run at a time; more than 1 where the handler is a coroutine function.
        prefetch: how many tasks to hold at once, those that run included; ``concurrency`` at least.
        provide: from a class to what makes its object, without arguments, when the worker begins to run: a
            context manager is entered, and left in the end; anything else is closed, if it can be. For a
            coroutine function all that is done in its loop, with what is asynchronous, too.
        on_event: called with what happens to it; see `Worker.on_event`.

    Raises:
        HandlerNotFound: the handler is not there, or cannot be called.
        TypeError: nothing provides one of its parameters; a layer is a coroutine function, and it is not; or
            something is not what it should be, such as a class that is no layer yet.
        ValueError: concurrency or prefetch is out of bounds.
    """

    guards: tuple[Layer, ...] = ()  # layers just inside the acknowledgement; for subclasses

    def __init__(
        self,
        name: str | None,
        backend: WorkerBackend,
        handler: Handler | str,
        *,
        layers: Iterable[Layer] = (),
        concurrency: int = 1,
        prefetch: int = 1,
        provide: Provide | None = None,
        on_event: Listener | None = None,
    ) -> None:
        check_handler(handler)
        if prefetch < 1:
            raise ValueError(f"prefetch must be 1 or more, not {prefetch}: it counts the running task, too")
        function = resolve(handler) if isinstance(handler, str) else handler
        self._layers = tuple(layers)
        check_backend(backend)
        check_layers(self._layers)
        check_provide(provide or {})
        self._awaits = awaits(function)
        check_kinds(function, self._layers, concurrency)
        self.name = name or f"{socket.gethostname()}-{os.getpid()}-{token_hex(2)}"
        self._backend = backend
        self._injector = Injector(provide or {})
        self._call = _innermost(function, self._injector)
        self._concurrency = concurrency
        self._prefetch = max(prefetch, concurrency)
        self._state = WorkerState.PENDING
        self._stop = Stop()
        self._signals = 0
        self._tasks = 0
        self._stream: TaskStream | Coroutines | None = None  # what `stop` is to wake
        self._loop: Coroutines | None = None
        self._lease: WorkerLease | None = None
        self._pause = Pause()
        self._idle = False
        self._tell = Teller(self.name, str(getattr(backend, "queue", "")))
        if on_event is not None:
            self.on_event(on_event)

    def __repr__(self) -> str:
        return f"<Worker {self.name!r} {self._state.name}: {self._tasks} tasks, {self._stop!r}>"

    @property
    def state(self) -> WorkerState:
        """What it is doing."""
        if self._state is WorkerState.RUNNING and self._pause.requested:
            return WorkerState.PAUSED
        return self._state

    @property
    def tasks(self) -> int:
        """How many tasks it has run, however they ended."""
        return self._tasks

    def run(self, *, until_empty: bool = False) -> None:
        """Run tasks until told to stop, in this thread; may be called again afterwards.

        Args:
            until_empty: return as soon as the backend looked and found nothing.

        Raises:
            WorkerExists: a live worker has this name.
            RuntimeError: it is running already.
            StorageError, QueueClosed: the queue cannot be used any more.
        """
        if self._state is WorkerState.RUNNING:
            raise RuntimeError(f"{self!r} is running already; make another worker for another thread")
        self._state = WorkerState.RUNNING
        self._idle = started = False
        names = [getattr(layer, "__name__", type(layer).__name__) for layer in self._layers]
        try:
            with (
                stop_signals(self.signalled),
                nullcontext() if self._awaits else self._injector.providing(),
                self._backend.register_worker(self.name, layers=names) as lease,
                Heartbeat(lease, self._obey, beaten=self._beaten),
            ):
                started = True
                self._lease = lease
                self._tell(events.Start)
                self._work(lease, until_empty)
        finally:
            self._lease = None
            self._state = WorkerState.STOPPED
            if started:
                self._tell(events.Stop)
            self._stop, self._pause, self._signals = Stop(), Pause(), 0

    def on_event(self, listener: Listener) -> Listener:
        """Have a function called with each event of `ipcq.worker.events`; can be a decorator. They add up.

        It is called in the thread in which the thing happens, before that goes on: it should be quick. The
        ends of coroutines are stored, and so told, in a thread beside their loop. What it raises is logged.
        To be said before `run`.

        Returns:
            The listener.
        """
        check_listener(listener)
        self._tell.listeners.append(listener)
        return listener

    def stop(self) -> None:
        """Have `run` return after what runs; from any thread, from a signal handler too.

        Before `run` it makes that return at once; when it has returned, this does nothing.
        """
        if self._state is WorkerState.STOPPED:
            return
        self._stop.request()
        self._rouse()

    def pause(self) -> None:
        """Take no more tasks until `resume`: what runs goes on, what is only held goes back; as `stop`."""
        self._pause.request()
        self._rouse()

    def resume(self) -> None:
        """Take tasks again."""
        self._pause.over()
        loop = self._loop
        if loop is not None:
            loop.poke()

    def _obey(self, request: WorkerRequest) -> None:
        if request is WorkerRequest.STOP:
            self.stop()
        elif request is WorkerRequest.PAUSE:
            self.pause()
        else:
            self.resume()

    def _beaten(self, returned: list[TaskId]) -> None:
        self._tell.beaten(returned)
        loop = self._loop
        if loop is not None:
            loop.watch()

    def _rouse(self) -> None:
        self._pause.interrupt()
        stream = self._stream
        if stream is not None:
            stream.wake()

    def signalled(self) -> None:
        """Called in the main thread when a signal to end came: the second one forces."""
        self._signals += 1
        self.stop()
        if self._signals > 1:
            self.force()

    def force(self) -> None:
        """Give back what runs, in the main thread; what only waits for room to be stored, too."""
        lease = self._lease
        if lease is not None:
            lease.hurry()
        self._stop.force()

    def progressed(self) -> None:
        """Called when it is about to take its first task, and after each one; for subclasses."""

    def _work(self, lease: WorkerLease, until_empty: bool) -> None:
        queue = str(getattr(self._backend, "queue", ""))
        told = self._tell.around(lease)
        context = WorkerContext(self.name, queue, told, self._stop, self._tell)
        begin: list[Layer] = [self._tell.begin] if self._tell.listeners else []
        with closing(Forwarding(hooked)) as forwarding:
            if self._awaits:
                layers: list[Layer] = [*begin, forwarding, *self.guards, *self._layers]
                self._work_in_loop(lease, context, layers, until_empty)
                return
            # The acknowledgement stands outside all that users write, the door to it just inside.
            inner = forwarding.around(compose([*self.guards, self._stop, *self._layers], self._call))
            chain = compose([self._backend.middleware(), *begin], inner)
            while self._serve(lease, chain, context, until_empty):
                self._rest()

    def _rest(self) -> None:
        self._tell(events.Pause)
        while self._pause.requested and not self._stop.requested:
            self._pause.wait()
        if not self._stop.requested:
            self._tell(events.Resume)

    def _serve(self, lease: WorkerLease, chain: CallNext, context: WorkerContext, until_empty: bool) -> bool:
        """Run tasks; whether there is more to do when it returns, after a pause."""
        stream = self._stream = self._backend.poll(lease, prefetch=self._prefetch)
        try:
            self.progressed()
            if not self._halted and self._take(stream, chain, context, until_empty):
                return False
        finally:
            self._stream = None
            stream.close()
        return not self._stop.requested

    def _work_in_loop(
        self, lease: WorkerLease, context: WorkerContext, layers: list[Layer], until_empty: bool
    ) -> None:
        from .coroutines import Coroutines

        def ended() -> None:
            self._tasks += 1
            context.tasks += 1
            self.progressed()

        coroutines = self._loop = self._stream = Coroutines(
            lambda: self._backend.poll(lease, prefetch=self._prefetch),
            context,
            self._pause,
            self._tell,
            self._backend.middleware(),
            self._call,
            layers,
            concurrency=self._concurrency,
            injector=self._injector,
            timeout_of=self.timeout_of,
            begun=self.progressed,
            ended=ended,
        )
        try:
            coroutines.run(until_empty)
        finally:
            self._stream = self._loop = None

    def _overrun(self, task_id: TaskId | None, reason: Overrun) -> None:
        """End the run of that task; in a loop all others go back, for its process ends."""
        if self._loop is not None:
            self._stop.force()
            self._loop.overrun(task_id, reason)
        else:
            self._stop.interrupt(reason)

    def timeout_of(self, task: Task[Any]) -> float | None:
        """Seconds that a coroutine may take to run a task; for subclasses, too."""
        return task.timeout

    @property
    def _halted(self) -> bool:
        return self._stop.requested or self._pause.requested

    def _take(self, stream: TaskStream, chain: CallNext, context: WorkerContext, until_empty: bool) -> bool:
        """Run tasks until it is to halt; True where there are none, and that is the end."""
        changes = self._pause.changes
        for task in iter(stream.look, _NEVER) if until_empty else stream:
            if task is None:
                if until_empty and not self._halted and changes == self._pause.changes:
                    self._tell_idle()
                    return True  # else it was only woken
                changes = self._pause.changes
                self._tell_idle()
            elif self._halted:
                context.lease.give_back(task)
            else:
                self._idle = False
                context.task = task
                chain(task, context)
                context.task = None
                del task  # or what it holds, such as a mapped payload, is ours until the next one comes
                self._tasks += 1
                context.tasks += 1
                self.progressed()
            if self._halted:
                return False
        return True  # the stream came to its end

    def _tell_idle(self) -> None:
        if not self._idle and not self._halted:
            self._idle = True
            self._tell(events.Idle)


_NEVER: Any = object()
"""What no stream gives."""


def _innermost(function: Any, injector: Injector) -> CallNext:
    """What runs a task; raises for what is not there, before any task is taken."""
    if isinstance(function, Prepares):
        return function.prepared(injector)
    call = injector.prepare(function)
    if call is None:
        return lambda task, _context: function(task.args)
    return lambda task, context: call(task.args, task, context)
