"""Traces that go on from the push to the run, and from there to what the run pushes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest

from ipcq import MemoryStorage, Worker
from ipcq.layers import Tracing
from ipcq.tracing import TraceContext, current, extract, inject, use

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = TraceContext(TRACE, SPAN, 0, (("vendor", "1"),))


def _place(_: Any) -> tuple[str, str, int, str]:
    place = current()
    assert place is not None
    return place.trace_id, place.span_id, place.flags, place.tracestate


def _run(queue: MemoryStorage, metadata: dict[str, Any]) -> list[Any]:
    task_id = queue.push("task", metadata=metadata)
    Worker("worker", queue, _place, layers=[Tracing()]).run(until_empty=True)
    value: list[Any] = list(queue.wait(task_id, 5).unwrap())
    return value


def test_a_run_is_a_step_of_the_trace_of_its_task(queue: MemoryStorage) -> None:
    """The trace, its flags and its state are those of the push; the span is the run's own."""
    trace_id, span_id, flags, state = _run(queue, inject(context=PARENT))
    assert (trace_id, flags, state) == (TRACE, 0, "vendor=1")
    assert span_id != SPAN


@pytest.mark.parametrize("metadata", [{}, {"traceparent": "00-rubbish"}, {"traceparent": b"\xff"}])
def test_without_a_trace_a_run_begins_one(queue: MemoryStorage, metadata: dict[str, Any]) -> None:
    """What is missing or malformed fails no run."""
    trace_id, span_id, *_ = _run(queue, metadata)
    assert TraceContext(trace_id, span_id).trace_id != TRACE


def test_what_a_run_pushes_is_of_the_same_trace(queue: MemoryStorage) -> None:
    """The second task's parent is the run that pushed it."""

    def hand_on(args: str) -> Any:
        if args == "first":
            queue.push("second", metadata=inject())
        return _place(None)

    queue.push("first", id=1 << 100, metadata=inject(context=PARENT))
    seen: list[Any] = []

    def watch(task: Any, context: Any, call_next: Any) -> Any:
        seen.append((extract(task.metadata), call_next(task, context)))

    Worker("worker", queue, hand_on, layers=[Tracing(), watch]).run(until_empty=True)
    (before, first), (between, second) = seen
    assert before == PARENT
    assert between is not None
    assert (between.trace_id, between.span_id) == first[:2]
    assert second[0] == TRACE
    assert len({SPAN, first[1], second[1]}) == 3


def test_nothing_is_current_after_a_run() -> None:
    """However the run ends, the trace of one task is not that of the next."""

    class Task:
        metadata = inject(context=PARENT)

    def fail(task: Any, context: Any) -> None:
        assert current() is not None
        raise KeyError(task)

    with pytest.raises(KeyError):
        Tracing()(Task(), None, fail)  # type: ignore[arg-type]
    assert current() is None


def test_metadata_keep_what_else_is_in_them() -> None:
    """A state of another trace goes, the caller's mapping is not changed."""
    given = {"who": "me", "traceparent": "old", "tracestate": "old=1"}
    context = TraceContext(TRACE, SPAN)
    assert inject(given, context) == {"who": "me", "traceparent": context.traceparent}
    assert given["tracestate"] == "old=1"


def test_a_push_outside_of_a_trace_begins_one() -> None:
    """Whether it is recorded is for the one who pushes to say."""
    found = extract(inject())
    assert found is not None
    assert found.sampled
    unrecorded = extract(inject(sampled=False))
    assert unrecorded is not None
    assert not unrecorded.sampled


def test_a_trace_that_came_by_another_way_can_be_used() -> None:
    """Inside of `use` it is the current one, outside the one before."""
    with use(PARENT) as inside:
        assert extract(inject()) == current() == inside == PARENT
    assert current() is None


def test_the_layer_can_be_sent_to_workers() -> None:
    """A Monitor's processes get it by pickle."""
    assert repr(pickle.loads(pickle.dumps(Tracing()))) == "<Tracing>"


def test_the_error_without_the_extra_names_it() -> None:
    """Whoever lacks OpenTelemetry is told what to install; ids alone need nothing."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from ipcq.layers import Tracing; from ipcq.tracing import inject; inject()\n"
        "try: import ipcq.tracing.otel\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "ipcq.tracing.otel needs OpenTelemetry: pip install 'ipcq[otel]'", (
        done.stderr
    )
