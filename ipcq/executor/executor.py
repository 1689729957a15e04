"""`Executor`: the place of `concurrent.futures.ProcessPoolExecutor`, without breaking."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent import futures
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, TypeVar

from ..backends.memory import MemoryStorage
from ..logs import LogReceiver
from ..monitor import Monitor
from ..monitor.cpus import usable_cpus
from .encoding import Call
from .engine import Engine
from .mapping import Mapped, Results
from .options import Options
from .runner import Initializer, run_call
from .threads import limited

__all__ = ["Executor", "Submitter"]

T = TypeVar("T")


class Submitter:
    """Submits calls that are all run in the same way."""

    def __init__(self, engine: Engine, options: Options, executor: object = None) -> None:
        self._engine = engine
        self._options = options
        self._executor = executor  # ends when nobody has it

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> futures.Future[T]:
        """Have ``fn(*args, **kwargs)`` called in a worker process; its future.

        Arguments and results are pickled; what cannot be is the future's exception, `NotPicklable`.

        Raises:
            RuntimeError: the executor was shut down.
            ExecutorFailed: it cannot keep its workers alive.
        """
        return self._engine.submit(Call(fn, args, kwargs), self._options)

    def asubmit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Awaitable[T]:
        """The same for coroutines: ``await executor.asubmit(fn, 1)``."""
        return asyncio.wrap_future(self.submit(fn, *args, **kwargs))

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        progress: bool = False,
    ) -> Iterator[T]:
        """The results of ``fn`` for the items of ``iterables``, in their order.

        The iterables are read as results are taken, so they may be endless. At the end of the executor what
        is left of them is read and run, if they have a length; else only what was read is.

        Args:
            timeout: seconds from this call on that a result may take; then `TimeoutError` is raised.
            chunksize: how many items make one task.
            buffersize: how many tasks may be there whose results were not taken; None for 512, and 64 MiB of
                arguments at the most.
            progress: draw a bar on standard error.

        Raises:
            ValueError: a number is out of bounds.
            RuntimeError, ExecutorFailed: as `submit`.
        """
        run = Mapped(self._engine, self._options, fn, iterables, timeout, chunksize, buffersize)
        results = Results(run, self._engine)
        return _shown(results, run.total) if progress else results


class Executor(Submitter, futures.Executor):
    """A `concurrent.futures.Executor` of worker processes that does not break.

    A worker that dies, whatever killed it, is replaced, and only the call that it was making is made again:
    up to ``max_deaths`` times, then its future alone has `WorkerDied`. Workers are started as they are
    needed, and never outlive this process.

    Args:
        max_workers: None for one for each usable CPU.
        mp_context: a context of multiprocessing, for its start method; None for ``forkserver`` on Linux and
            ``spawn`` elsewhere.
        initializer: called first in each process, with ``initargs``; if it raises, the executor fails.
        max_tasks_per_child: calls that a process makes before another takes its place; None for no limit.
        max_deaths: how often processes may die making a call before it fails.
        timeout: seconds that a call may run, else its process is killed and its future has `TimeoutError`.
        name: what the name of its queue begins with, as ``ipcq`` shows it.
        logs: takes in what its calls log; close it after the executor.

    Raises:
        ValueError: a number is out of bounds.
        TypeError: the initializer is not callable.
        NotPicklable: no other process could have the initializer.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        max_deaths: int = 2,
        timeout: float | None = None,
        name: str | None = None,
        logs: LogReceiver | None = None,
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        _check_max_tasks(max_tasks_per_child)
        self._max_workers = usable_cpus() if max_workers is None else max_workers
        default = "forkserver" if sys.platform == "linux" else "spawn"
        self._mp_context = mp_context or multiprocessing.get_context(default)
        method = self._mp_context.get_start_method()
        if max_tasks_per_child is not None and method == "fork":
            raise ValueError(
                "max_tasks_per_child is not for the start method fork, which copies what other threads do;"
                " use forkserver or spawn"
            )
        first = limited(usable_cpus() // self._max_workers, initializer and Initializer(initializer))
        args = tuple(initargs)

        def monitor(storage: MemoryStorage, workers: int) -> Monitor:
            return Monitor(
                storage,
                run_call,
                workers=workers,
                max_tasks=max_tasks_per_child,
                start_method=method,
                initializer=first,
                initargs=args,
            )

        engine = Engine(monitor, self._max_workers, name or "executor")
        metadata = None if logs is None else logs.metadata
        options = Options(timeout=timeout, max_deaths=max_deaths, metadata=metadata)
        Submitter.__init__(self, engine, options.checked())
        # Who forgets it: its calls are made, then it ends.
        weakref.finalize(self, engine.shutdown, wait=False).atexit = False

    def __repr__(self) -> str:
        return f"<Executor of {self._max_workers} workers: {self._engine!r}>"

    def options(
        self,
        *,
        priority: int | None = None,
        timeout: float | None = None,
        max_deaths: int | None = None,
    ) -> Submitter:
        """The same executor for calls run in another way: ``executor.options(priority=1).submit(f)``.

        Args:
            priority: from -7 to 8, the highest first.
            timeout: seconds that a call may run.
            max_deaths: how often processes may die making it before it fails.

        Raises:
            ValueError: one is out of bounds.
        """
        given: dict[str, Any] = {"priority": priority, "timeout": timeout, "max_deaths": max_deaths}
        changed = {name: value for name, value in given.items() if value is not None}
        return Submitter(self._engine, self._options._replace(**changed).checked(), self)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end when those that there are have been made.

        Args:
            wait: return only then.
            cancel_futures: cancel those that did not begin.
        """
        self._engine.shutdown(wait=wait, cancel=cancel_futures)

    def terminate_workers(self) -> None:
        """Cancel what did not begin, end what runs, and shut down; what runs has a second to end."""
        self._engine.abort()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._engine.abort()
        else:
            self.shutdown()
        return None

    @property
    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return self._engine.pids


def _check_max_tasks(count: int | None) -> None:
    if count is None:
        return
    if not isinstance(count, int):
        raise TypeError("max_tasks_per_child must be an integer")
    if count <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")


def _shown(results: Iterator[T], total: int | None) -> Iterator[T]:
    from tqdm import tqdm

    yield from tqdm(results, total=total, unit=" items")
