"""Failed runs that are tried again, later and later."""

from __future__ import annotations

import random
from typing import Any

from ..errors import Abort, RetryAfter
from ..layer import CallNext, GivenUp
from ..task import Task
from .naming import errors_of

__all__ = ["Retry"]


class Retry:
    """A layer that puts off the next run of a task whose run failed: exponential backoff with jitter.

    The delay is kept with the task, so no worker waits and it outlives all of them. How often a task is run
    is its own affair: ``push(..., max_attempts=5)``.

    Args:
        delay: seconds before the second run.
        factor: by which the delay grows from run to run.
        longest: seconds that it does not exceed.
        jitter: by which share it is shortened at random, 0 to 1: tasks that failed together do not all come
            again together. See M. Brooker, "Exponential Backoff And Jitter" (2015).
        on: errors that are tried again; all others make the task KILLED at once.
        give_up_on: of those, the ones that are not.
        chance: gives the jitter; for tests.

    Raises:
        ValueError: a number is out of bounds.
        TypeError: ``on`` or ``give_up_on`` is no class of errors.
    """

    def __init__(
        self,
        delay: float = 1.0,
        *,
        factor: float = 2.0,
        longest: float = 600.0,
        jitter: float = 0.5,
        on: type[Exception] | tuple[type[Exception], ...] = Exception,
        give_up_on: type[Exception] | tuple[type[Exception], ...] = (),
        chance: random.Random | None = None,
    ) -> None:
        if not (delay >= 0 and factor >= 1 and longest >= 0 and 0 <= jitter <= 1):
            raise ValueError(
                "delay and longest are 0 seconds or more, factor is 1 or more, jitter 0 to 1; not"
                f" delay={delay!r}, factor={factor!r}, longest={longest!r}, jitter={jitter!r}"
            )
        self._delay, self._factor, self._longest, self._jitter = delay, factor, longest, jitter
        self._on, self._give_up_on = errors_of("on", on), errors_of("give_up_on", give_up_on)
        self._chance = chance or random.Random()

    def __repr__(self) -> str:
        return f"<Retry after {self._delay:g} s, times {self._factor:g}, {self._longest:g} s at the most>"

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Run what is inside; an error of it says when the next run begins."""
        try:
            return call_next(task, context)
        except (Abort, RetryAfter):  # the handler decided
            raise
        except Exception as error:
            raise self._decided(task, error) from error

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function."""
        try:
            return await call_next(task, context)
        except (Abort, RetryAfter):
            raise
        except Exception as error:
            raise self._decided(task, error) from error

    def _decided(self, task: Task[Any], error: Exception) -> Exception:
        if not isinstance(error, self._on) or isinstance(error, self._give_up_on):
            return GivenUp(str(error))
        return RetryAfter(self.after(task.attempts))

    def after(self, attempts: int) -> float:
        """Seconds before the next run.

        Args:
            attempts: runs that ended before the one that just failed.
        """
        try:
            grown = self._delay * self._factor**attempts
        except OverflowError:
            grown = self._longest
        return min(self._longest, grown) * (1 - self._jitter * self._chance.random())
