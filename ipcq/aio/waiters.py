"""Who waits for which task, and what they are told."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterable
from typing import Any

from ..result import TaskResult

__all__ = ["Future", "Outcome", "Settled", "post"]

Future = asyncio.Future[TaskResult[Any]]
Outcome = TaskResult[Any] | Exception
Settled = tuple[Future, Outcome]
"""Somebody who waited, and what came."""


def post(settled: Iterable[Settled]) -> None:
    """Tell each in its own loop, in this order; a loop that was closed has nobody left to tell."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Settled]] = {}
    for each in settled:
        by_loop.setdefault(each[0].get_loop(), []).append(each)
    for loop, part in by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell, part)
        except RuntimeError:
            if not loop.is_closed():
                raise


def _tell(settled: list[Settled]) -> None:
    for future, outcome in settled:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(_own(outcome))
        else:
            future.set_result(outcome)


def _own(error: Exception) -> Exception:
    """An error for one who waits: raised by many, one object would gather the tracebacks of all."""
    try:
        own = copy.copy(error)
    except Exception:  # of somebody else's class
        return error
    own.__cause__ = error.__cause__
    return own
