from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from ipcq.errors import (
    Abort,
    CodecError,
    CorruptQueue,
    LeaseLost,
    NotSupported,
    PushError,
    RetryAfter,
)
from ipcq.layer import CallNext, ForcedStop, PutOff, acknowledge, compose
from ipcq.task import Task, TaskId
from tests.unit.worker.fakes import FakeLease


@pytest.fixture
def lease() -> FakeLease:
    """Where the outcome is told."""
    return FakeLease()


def _raise(error: BaseException) -> CallNext:
    def call_next(task: Task[Any], context: Any) -> Any:
        raise error

    return call_next


def _run(lease: FakeLease, call_next: CallNext, task: Task[Any] | None = None) -> list[Any]:
    acknowledge(task or Task.of(3), SimpleNamespace(lease=lease), call_next)
    return lease.log


def test_layers_are_called_from_the_first_to_the_innermost() -> None:
    """The first layer is the outermost, and each sees what the inner ones returned."""

    def named(name: str) -> Any:
        return lambda task, context, call_next: f"{name}({call_next(task, context)})"

    assert compose([named("a"), named("b")], lambda task, _: str(task.args))(Task.of(1), None) == "a(b(1))"


def test_without_layers_the_innermost_is_all() -> None:
    """No layers make the handler itself."""
    assert compose([], lambda task, _: task.args)(Task.of(1), None) == 1


def test_a_value_finishes_the_task(lease: FakeLease) -> None:
    """What the handler returned is stored."""
    assert _run(lease, lambda task, _: task.args * 2) == [("finish", 3, 6)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("no"), ("fail", "ValueError", "no")),
        (SystemExit(2), ("fail", "SystemExit", "2")),
        (KeyboardInterrupt(), ("fail", "KeyboardInterrupt", "")),
        (Abort("never"), ("kill", "ipcq.errors.Abort", "never")),
        (LeaseLost("another queue's"), ("fail", "ipcq.errors.LeaseLost", "another queue's")),
    ],
)
def test_an_exception_fails_the_task(lease: FakeLease, error: BaseException, expected: Any) -> None:
    """Any exception is a failed run, SystemExit too; Abort makes it the last one."""
    assert _run(lease, _raise(error)) == [expected]


class _Soon(RetryAfter):
    """One that was made without asking its parent."""

    def __init__(self, seconds: object) -> None:
        Exception.__init__(self, "soon")
        if seconds is not None:
            self.seconds = seconds  # type: ignore[assignment]


@pytest.mark.parametrize("seconds", [None, float("nan"), -1, "soon"])
def test_a_retry_without_a_time_is_a_failure_like_others(lease: FakeLease, seconds: object) -> None:
    """What a subclass of `RetryAfter` says about the time cannot end the worker."""
    assert _run(lease, _raise(_Soon(seconds))) == [("fail", f"{__name__}._Soon", "soon")]


@pytest.mark.parametrize("seconds", [float("nan"), -1])
def test_a_task_is_put_off_by_seconds(seconds: float) -> None:
    """Anything else is refused where the layer says it, so that its run fails."""
    with pytest.raises(ValueError, match="0 seconds or more"):
        PutOff(seconds, "closed")


def test_a_forced_stop_gives_the_task_back(lease: FakeLease) -> None:
    """What a forced stop interrupted is neither a success nor a failure."""
    assert _run(lease, _raise(ForcedStop())) == [("give back", 3)]


def test_a_forced_stop_while_it_is_stored_gives_the_task_back(lease: FakeLease) -> None:
    """A value that waits for room when its worker is to end is not awaited."""

    def finish(task: Task[Any], value: Any) -> None:
        raise ForcedStop

    lease.finish = finish  # type: ignore[method-assign]
    assert _run(lease, lambda *_: 1) == [("give back", 3)]


@pytest.mark.parametrize("refused", [False, True])
def test_a_task_is_put_off(lease: FakeLease, refused: bool) -> None:
    """Nothing is stored for a run that was not; but where the backend cannot put it off, it failed."""
    lease.refuses = NotSupported("Reschedule", "a list") if refused else None
    told = ("fail", "ipcq.errors.RetryAfter", "closed") if refused else ("postpone", 3, 7)
    assert _run(lease, _raise(PutOff(7, "closed"))) == [told]


def test_arguments_that_cannot_be_decoded_kill_the_task(lease: FakeLease) -> None:
    """The handler is not called, and no attempt will go better."""

    def decode(data: Any) -> Any:
        raise CodecError("not msgpack")

    task = Task[Any](TaskId.new(), payload=b"?", _decode=decode)

    assert _run(lease, _raise(AssertionError()), task) == [("kill", "ipcq.errors.CodecError", "not msgpack")]


@pytest.mark.parametrize("error", [CodecError("an object"), PushError("too large"), ValueError("odd")])
def test_a_value_that_cannot_be_stored_fails_the_task(lease: FakeLease, error: Exception) -> None:
    """A run whose value has no encoded form, or no room, failed for that reason."""
    lease.refuses = error

    assert [(what, message) for what, _, message in _run(lease, lambda *_: object())] == [
        ("fail", str(error))
    ]


@pytest.mark.parametrize("call_next", [lambda *_: 1, _raise(ValueError())])
def test_a_lost_lease_is_only_logged(
    lease: FakeLease, call_next: CallNext, caplog: pytest.LogCaptureFixture
) -> None:
    """A task that was cancelled or taken over meanwhile does not disturb its former worker."""
    lease.lost = True

    with caplog.at_level(logging.INFO, "ipcq.worker"):
        assert _run(lease, call_next) == []
    assert "taken over" in caplog.text


def test_a_broken_queue_is_the_workers_trouble(lease: FakeLease) -> None:
    """Where nothing can be stored any more, the worker's loop gets the error."""
    lease.refuses = CorruptQueue("damaged")

    with pytest.raises(CorruptQueue):
        _run(lease, lambda *_: 1)
