"""Pushes and runs as spans of OpenTelemetry, with the extra ``ipcq[otel]``.

Only its API is used: what becomes of spans is set up by the program, in workers by ``initializer=``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

try:
    from opentelemetry import trace
except ImportError as error:
    raise ImportError("ipcq.tracing.otel needs OpenTelemetry: pip install 'ipcq[otel]'") from error

from opentelemetry.context import Context

from ..layer import ForcedStop, Overrun, failure_of
from ..task import Task
from .carrying import current, inject, use
from .context import TraceContext
from .state import read_state

__all__ = ["Spans"]


class Spans:
    """Makes spans: ``with spans.push("thumbs") as metadata: queue.push(args, metadata=metadata)``.

    In workers: ``layers=[Tracing(Spans())]``.

    Args:
        provider: who makes tracers; None for the one that OpenTelemetry is set up with in the process that
            uses this: so it can be sent to workers.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._provider = provider

    def __repr__(self) -> str:
        return f"<Spans of {self._provider or 'OpenTelemetry'}>"

    @contextmanager
    def push(self, queue: str, metadata: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """A span of kind PRODUCER around one push or many; gives the metadata that belong to it.

        Args:
            queue: its name.
            metadata: others, which stay.
        """
        above = trace.get_current_span().get_span_context()
        parent = None if above.is_valid else current()
        facts = {"messaging.operation.type": "send", "messaging.operation.name": "push"}
        with self._span(f"push {queue}", trace.SpanKind.PRODUCER, queue, parent, facts) as place:
            yield inject(metadata, place)

    @contextmanager
    def run(
        self, task: Task[Any], queue: str, worker: str, parent: TraceContext | None
    ) -> Iterator[TraceContext]:
        """A span of kind CONSUMER around a run, current meanwhile; an error of the run is recorded."""
        facts: dict[str, str | int] = {
            "messaging.operation.type": "process",
            "messaging.operation.name": "run",
            "messaging.message.id": str(task.id),
            "messaging.client.id": worker,
            "ipcq.attempt": task.attempts + task.deaths + 1,
        }
        queue = queue or task.queue
        kind = trace.SpanKind.CONSUMER
        with self._span(f"run {queue}", kind, queue, parent, facts, root=True) as place, use(place):
            yield place

    @contextmanager
    def _span(
        self,
        name: str,
        kind: trace.SpanKind,
        queue: str,
        parent: TraceContext | None,
        facts: Mapping[str, str | int],
        *,
        root: bool = False,
    ) -> Iterator[TraceContext]:
        """Begin a span and end it, with its error.

        Args:
            parent: None for the current one of OpenTelemetry.
            root: there is no other parent than this one.
        """
        tracer = trace.get_tracer("ipcq", tracer_provider=self._provider)
        attributes = {"messaging.system": "ipcq", "messaging.destination.name": queue, **facts}
        span = tracer.start_span(
            name, _under(parent) if parent or root else None, kind=kind, attributes=attributes
        )
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield _place(span, parent)
        except BaseException as error:  # SystemExit too: it fails the run
            _record(span, error)
            raise
        finally:
            span.end()


def _record(span: trace.Span, error: BaseException) -> None:
    """Tell how it ended; a run that is given back or put off has not failed."""
    if isinstance(error, Overrun):
        error = error.error
    elif isinstance(error, ForcedStop):
        span.set_attribute("ipcq.given_back", True)
        return
    error = failure_of(error)
    span.record_exception(error)
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")


def _under(parent: TraceContext | None) -> Context:
    """A context of OpenTelemetry in which ``parent`` is current; empty for None."""
    if parent is None:
        return Context()
    remote = trace.SpanContext(
        trace_id=int(parent.trace_id, 16),
        span_id=int(parent.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(parent.flags),
        trace_state=trace.TraceState(parent.state),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())


def _place(span: trace.Span, parent: TraceContext | None) -> TraceContext:
    """Where the span is; where OpenTelemetry was not set up, what it would have been."""
    made = span.get_span_context()
    if not made.is_valid:
        return TraceContext.new()
    place = TraceContext(
        trace.format_trace_id(made.trace_id),
        trace.format_span_id(made.span_id),
        int(made.trace_flags) & 0xFF,
        read_state(made.trace_state.to_header()),
    )
    return place.child() if parent is not None and place.span_id == parent.span_id else place
