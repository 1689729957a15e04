"""Into the metadata of a task and out of them, and what is current meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .context import TraceContext

__all__ = ["current", "extract", "inject", "use"]

PARENT, STATE = "traceparent", "tracestate"

_current: ContextVar[TraceContext | None] = ContextVar("ipcq.tracing", default=None)


def current() -> TraceContext | None:
    """Where in a trace this code runs; None outside of `use` and of workers with the layer `Tracing`."""
    return _current.get()


@contextmanager
def use(context: TraceContext) -> Iterator[TraceContext]:
    """Make ``context`` the current one: for a trace that came by other ways, such as a request."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def inject(
    metadata: Mapping[str, Any] | None = None, context: TraceContext | None = None, *, sampled: bool = True
) -> dict[str, Any]:
    """The metadata of a task that belongs to a trace: ``queue.push(args, metadata=inject())``.

    Args:
        metadata: others, which stay; they are not changed in place.
        context: None for the current one, or a new trace where there is none.
        sampled: whether those after this one are to record a trace that begins here.
    """
    context = context or current() or TraceContext.new(sampled=sampled)
    carried = {**(metadata or {}), PARENT: context.traceparent}
    carried.pop(STATE, None)  # of another trace
    if state := context.tracestate:
        carried[STATE] = state
    return carried


def extract(metadata: Mapping[str, Any]) -> TraceContext | None:
    """What the one who pushed put there; None where it is missing or malformed."""
    return TraceContext.parse(metadata.get(PARENT), metadata.get(STATE))
