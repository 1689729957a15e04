"""Runs as steps of the trace that their task was pushed in."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from ..layer import CallNext
from ..task import Task
from ..tracing import TraceContext, extract, use

if TYPE_CHECKING:
    from ..tracing.otel import Spans

__all__ = ["Tracing"]


class Tracing:
    """A layer that goes on with the trace in a task's metadata, or begins one.

    Each run is a step of its own. `ipcq.tracing.current` tells it to the handler and to the layers inside,
    and what they push with ``metadata=inject()`` goes on from there.

    Args:
        spans: makes each run a span of OpenTelemetry; None for ids alone.
    """

    def __init__(self, spans: Spans | None = None) -> None:
        self._spans = spans

    def __repr__(self) -> str:
        return f"<Tracing with {self._spans!r}>" if self._spans else "<Tracing>"

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """Run what is inside as a step of the trace."""
        with self._step(task, context):
            return call_next(task, context)

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        """The same around a coroutine function."""
        with self._step(task, context):
            return await call_next(task, context)

    def _step(self, task: Task[Any], context: Any) -> AbstractContextManager[TraceContext]:
        parent = extract(task.metadata)
        if self._spans is not None:
            return self._spans.run(task, context.queue, context.worker, parent)
        return use(parent.child() if parent else TraceContext.new())
