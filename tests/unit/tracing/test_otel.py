"""Pushes and runs as spans of OpenTelemetry."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from ipcq import MemoryStorage, Monitor, RetryAfter, Worker
from ipcq.layer import ForcedStop, Overrun
from ipcq.layers import Retry, Tracing
from ipcq.tracing import TraceContext, current, extract, inject, use

pytest.importorskip("opentelemetry.sdk", reason="pip install 'ipcq[otel]' opentelemetry-sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ipcq.tracing.otel import Spans

from .test_context import contexts

PARENT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", 1, (("vendor", "1"),))


class Recorded:
    """A provider, what makes spans with it, and the spans that have ended."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.spans = Spans(self.provider)

    @property
    def ended(self) -> tuple[Any, ...]:
        spans: tuple[Any, ...] = self.exporter.get_finished_spans()
        return spans


@pytest.fixture
def recorded() -> Recorded:
    """Of this test alone."""
    return Recorded()


def _work(queue: MemoryStorage, handler: Any, spans: Spans, *more: Any) -> None:
    Worker("worker", queue, handler, layers=[Tracing(spans), *more]).run(until_empty=True)


def test_a_run_is_a_child_of_its_push(queue: MemoryStorage, recorded: Recorded) -> None:
    """Both are in one trace, with what the conventions for messaging ask for."""
    with recorded.spans.push(queue.queue, {"who": "me"}) as metadata:
        task_id = queue.push(3, metadata=metadata)
    _work(queue, lambda n: n + 1, recorded.spans)

    push, run = recorded.ended
    assert (push.kind, run.kind) == (trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER)
    assert (push.name, run.name) == (f"push {queue.queue}", f"run {queue.queue}")
    assert (push.parent, run.parent.span_id) == (None, push.context.span_id)
    assert run.context.trace_id == push.context.trace_id
    assert dict(run.attributes) == {
        "messaging.system": "ipcq",
        "messaging.destination.name": queue.queue,
        "messaging.operation.type": "process",
        "messaging.operation.name": "run",
        "messaging.message.id": str(task_id),
        "messaging.client.id": "worker",
        "ipcq.attempt": 1,
    }
    assert run.status.status_code is trace.StatusCode.UNSET
    assert metadata["who"] == "me"
    assert queue.wait(task_id, 5).unwrap() == 4


def test_inside_of_a_run_both_kinds_of_context_are_the_span(queue: MemoryStorage, recorded: Recorded) -> None:
    """What the handler does is below the run, whichever way it asks."""
    seen: list[Any] = []

    def handler(_: Any) -> None:
        seen.append((trace.get_current_span().get_span_context(), current()))

    queue.push(1, metadata=inject(context=PARENT))
    _work(queue, handler, recorded.spans)

    (context, place), (run,) = seen[0], recorded.ended
    assert context.span_id == run.context.span_id == int(place.span_id, 16)
    assert (run.parent.span_id, run.parent.is_remote) == (int(PARENT.span_id, 16), True)
    assert (place.trace_id, place.state) == (PARENT.trace_id, PARENT.state)
    assert current() is None


def test_a_task_without_a_trace_begins_one(queue: MemoryStorage, recorded: Recorded) -> None:
    """What is current where the worker runs is not its parent."""
    queue.push(1, metadata={"traceparent": "rubbish"})
    with trace.use_span(recorded.provider.get_tracer("test").start_span("around")):
        _work(queue, str, recorded.spans)
    assert next(span for span in recorded.ended if span.kind is trace.SpanKind.CONSUMER).parent is None


def test_the_error_of_a_run_is_recorded(queue: MemoryStorage, recorded: Recorded) -> None:
    """It is the handler's own, though a layer inside says when it is run again."""

    def fail(_: Any) -> None:
        raise OSError("no network")

    queue.push(1, max_attempts=3)
    _work(queue, fail, recorded.spans, Retry(100))

    (run,) = recorded.ended
    assert run.status.status_code is trace.StatusCode.ERROR
    assert run.status.description == "OSError: no network"
    assert run.attributes["error.type"] == "OSError"
    (event,) = run.events
    assert (event.name, event.attributes["exception.type"]) == ("exception", "OSError")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (RetryAfter(5), f"RetryAfter: {RetryAfter(5)}"),
        (Overrun(TimeoutError("too long")), "TimeoutError: too long"),
    ],
)
def test_every_way_to_fail_is_an_error(recorded: Recorded, error: BaseException, told: str) -> None:
    """What fails a run is recorded as what is stored."""
    with pytest.raises(type(error)), recorded.spans.push("queue"):
        raise error
    (span,) = recorded.ended
    assert (span.status.description, len(span.events)) == (told, 1)


def test_a_run_that_is_given_back_has_not_failed(recorded: Recorded) -> None:
    """A forced stop of its worker says so in an attribute."""
    with pytest.raises(ForcedStop), recorded.spans.push("queue"):
        raise ForcedStop
    (span,) = recorded.ended
    assert span.status.status_code is trace.StatusCode.UNSET
    assert span.attributes["ipcq.given_back"] is True


def test_a_push_goes_on_with_what_is_current(recorded: Recorded) -> None:
    """A span of OpenTelemetry around it, or else the trace in use."""
    above = recorded.provider.get_tracer("test").start_as_current_span("around")
    with above as around, use(PARENT), recorded.spans.push("queue"):
        pass
    with use(PARENT), recorded.spans.push("queue"):
        pass
    first, second = (span for span in recorded.ended if span.kind is trace.SpanKind.PRODUCER)
    assert first.parent.span_id == around.get_span_context().span_id
    assert second.parent.span_id == int(PARENT.span_id, 16)


def test_where_nothing_is_set_up_ids_go_on() -> None:
    """Without an SDK there are no spans, but the trace is not cut."""
    spans = Spans(trace.NoOpTracerProvider())
    with use(PARENT), spans.push("queue") as metadata:
        found = extract(metadata)
    assert found is not None
    assert (found.trace_id, found.state) == (PARENT.trace_id, PARENT.state)
    assert found.span_id != PARENT.span_id
    with spans.push("queue") as metadata:
        assert extract(metadata) is not None


def test_the_layer_can_be_sent_to_workers() -> None:
    """It finds there what OpenTelemetry was set up with there."""
    assert repr(pickle.loads(pickle.dumps(Tracing(Spans())))) == "<Tracing with <Spans of OpenTelemetry>>"


def _line(span: Any) -> str:
    return f"{span.name} {span.parent.span_id:016x}\n"


def _set_up(path: str) -> None:
    """What a program does in each of its worker processes; spans are lines of a file here."""
    provider = TracerProvider()
    out = open(path, "a", buffering=1, encoding="utf-8")  # noqa: SIM115 - open as long as its process
    exporter = ConsoleSpanExporter(out=out, formatter=_line)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def test_worker_processes_make_spans(queue: MemoryStorage, recorded: Recorded, tmp_path: Path) -> None:
    """An initializer sets OpenTelemetry up in them, and the layer uses that."""
    spans = tmp_path / "spans"
    with recorded.spans.push(queue.queue) as metadata:
        task_id = queue.push(-3, metadata=metadata)
    set_up = partial(_set_up, str(spans))
    with Monitor(queue, abs, workers=1, layers=[Tracing(Spans())], initializer=set_up):
        assert queue.wait(task_id, 30).unwrap() == 3
    (push,) = recorded.ended
    assert spans.read_text() == f"run {queue.queue} {push.context.span_id:016x}\n"


@given(contexts)
def test_opentelemetry_reads_what_is_written(context: TraceContext) -> None:
    """Its own reader of the texts finds the same place, and all of the state that has a text."""
    found = trace.get_current_span(TraceContextTextMapPropagator().extract(inject(context=context)))
    place = found.get_span_context()
    assert (place.trace_id, place.span_id) == (int(context.trace_id, 16), int(context.span_id, 16))
    assert int(place.trace_flags) == context.flags
    assert tuple(place.trace_state.items()) == context.state
