"""Runs that are put off while what they need keeps failing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ..errors import Abort
from ..layer import CallNext, Overrun, PutOff, failure_of
from ..task import Task
from .circuit import Circuit
from .naming import errors_of

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """A layer that spares a service that keeps failing, and the tasks that need it.

    After some failures within a while it opens: tasks are put off without a run, to the moment when it lets
    one through to see. If that one works it closes; if not, it is open for as long again. Being put off costs
    a task no attempt where the backend can reschedule (all that ipcq brings but a `CustomBackend` of
    functions), else one, as `RetryAfter` does.

    It counts what its own process sees: each worker process of a `Monitor` has its own, closed at first.
    Worker threads may share one object.

    Args:
        failures: how many open it.
        window: seconds within which they count.
        reset_after: seconds from the opening to the run that is let through; tasks are put off by what is
            left of them.
        on: errors that count as failures of the service; all others, and `Abort`, show that it answers.
        clock: seconds that only grow; for tests.

    Raises:
        ValueError: a number is out of bounds.
        TypeError: ``on`` is no class of errors.
    """

    def __init__(
        self,
        failures: int = 5,
        window: float = 60.0,
        reset_after: float = 30.0,
        on: type[Exception] | tuple[type[Exception], ...] = (Exception,),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not (failures >= 1 and window > 0 and 0 < reset_after < float("inf")):
            raise ValueError(
                "failures is 1 or more, window and reset_after are more than 0 seconds; not"
                f" failures={failures!r}, window={window!r}, reset_after={reset_after!r}"
            )
        self._again = partial(CircuitBreaker, failures, window, reset_after, on, clock=clock)
        self._on, self._clock = errors_of("on", on), clock
        self._circuit = Circuit(failures, window, reset_after)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return repr(self._circuit).replace("Circuit", "CircuitBreaker", 1)

    def __reduce__(self) -> tuple[Callable[[], CircuitBreaker], tuple[()]]:
        return self._again, ()  # what was seen here, and the lock, stay here

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Run what is inside, or put the task off."""
        run = self._enter()
        try:
            value = call_next(task, context)
        except BaseException as error:
            self._learn(run, error)
            raise
        with self._lock:
            self._circuit.succeeded(run)
        return value

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function."""
        run = self._enter()
        try:
            value = await call_next(task, context)
        except BaseException as error:
            self._learn(run, error)
            raise
        with self._lock:
            self._circuit.succeeded(run)
        return value

    def _enter(self) -> int:
        with self._lock:
            now = self._clock()
            run = self._circuit.enter(now)
            if run is None:
                raise PutOff(self._circuit.remaining(now), f"{self._circuit!r} lets no run through yet")
            return run

    def _learn(self, run: int, error: BaseException) -> None:
        cause = _cause(error)
        with self._lock:
            if isinstance(cause, self._on) and not isinstance(cause, Abort):
                self._circuit.failed(run, self._clock())
            elif isinstance(cause, Exception):
                self._circuit.succeeded(run)
            else:  # a forced stop, or put off further in
                self._circuit.abandoned(run, self._clock())


def _cause(error: BaseException) -> BaseException:
    """What went wrong, under what layers further in, or a limit, made of it."""
    return error.error if isinstance(error, Overrun) else failure_of(error)
