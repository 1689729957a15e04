"""Coroutine functions and plain ones: which a handler is, and what goes together with it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from ..layer import Layer
from .handler import Handler

__all__ = ["awaits", "check_kinds", "is_coroutine_function", "is_generator_function"]


def is_coroutine_function(function: Any) -> bool:
    """Whether what it returns has to be awaited, as far as can be seen."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def is_generator_function(function: Any) -> bool:
    """Whether it yields, so that a call of it runs none of its body."""
    call = type(function).__call__
    return any(
        check(each)
        for check in (inspect.isgeneratorfunction, inspect.isasyncgenfunction)
        for each in (function, call)
    )


def awaits(handler: Handler) -> bool:
    """Whether a handler's runs have to be awaited; one that calls several functions says it itself."""
    told = getattr(type(handler), "awaits", None)
    return bool(told(handler)) if callable(told) else is_coroutine_function(handler)


def check_kinds(handler: Handler, layers: Iterable[Layer], concurrency: int) -> None:
    """Raise if what a worker is to run does not go together.

    Raises:
        TypeError: it is a plain function, and a layer around it a coroutine function; the outermost of all
            is a generator function, whose body nobody would run.
        ValueError: ``concurrency`` is out of bounds.
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be 1 or more, not {concurrency}")
    layers = tuple(layers)
    outermost = layers[0] if layers else handler
    if is_generator_function(outermost):
        raise TypeError(
            f"{'layer' if layers else 'handler'} {outermost!r} is a generator function: a call of it runs"
            " nothing, and what it gives cannot be a task's value; return a list"
        )
    if awaits(handler):
        return
    if concurrency > 1:
        raise ValueError(
            f"concurrency={concurrency} needs a coroutine function, which {handler!r} is not: make it an"
            f" async def, or have more processes: Monitor(..., workers={concurrency})"
        )
    for layer in layers:
        if is_coroutine_function(layer):
            raise TypeError(
                f"layer {layer!r} is a coroutine function, the handler {handler!r} is not: nobody would await"
                " the layer; make the handler an async def, or the layer a plain function"
            )
