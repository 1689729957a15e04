"""Functions that have done their work when they return: a coroutine that nobody awaits has not begun it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from typing import TypeVar

__all__ = ["check_plain", "done"]

T = TypeVar("T")


def check_plain(name: str, function: object) -> None:
    """Raise `TypeError` unless it can be called, and is no coroutine function as far as can be seen."""
    if not callable(function):
        raise TypeError(f"{name}= takes a function, not {function!r}")
    if any(map(_is_async, (function, type(function).__call__))):
        raise TypeError(
            f"{name}= takes a plain function, not {function!r}: nobody would await it; wrap it in one that"
            " calls asyncio.run(...)"
        )


def done(got: T) -> T:
    """What a function returned; `TypeError` where that is still to be awaited."""
    if inspect.iscoroutine(got):
        got.close()  # or Python warns of it once more
    if inspect.isawaitable(got) or isinstance(got, AsyncIterator):
        raise TypeError(f"it returned {got!r}, which nobody awaits; wrap it: asyncio.run(...)")
    return got


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
