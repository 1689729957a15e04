"""Runs that are tried again, later."""

from __future__ import annotations

import pickle
import random
import time
from typing import Any

import pytest

from ipcq import Abort, MemoryStorage, RetryAfter, Status, TaskId, Worker
from ipcq.layers import Retry


class Handler:
    """Raises errors one after the other, then returns."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.runs = 0

    def __call__(self, args: Any) -> str:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)
        return f"{args} after {self.runs}"


def _run(queue: MemoryStorage, handler: Handler, *layers: Any) -> None:
    Worker("worker", queue, handler, layers=layers).run(until_empty=True)


def _due_in(queue: MemoryStorage, task_id: TaskId) -> float:
    task = queue.fetch_by_id(task_id)
    assert task is not None
    assert task.status is Status.FAILED
    return task.run_at - time.time()


def test_a_failed_run_is_put_off(queue: MemoryStorage) -> None:
    """The worker does not wait for it; the moment is kept with the task, and so is its error."""
    handler, layer = Handler(OSError("no network"), OSError("again")), Retry(100, jitter=0)
    task_id = queue.push("task", max_attempts=3)
    _run(queue, handler, layer)
    assert 90 < _due_in(queue, task_id) <= 100
    queue.reschedule(task_id, 0)
    _run(queue, handler, layer)
    assert 190 < _due_in(queue, task_id) <= 200
    queue.reschedule(task_id, 0)
    _run(queue, handler, layer)
    assert queue.wait(task_id, 5).unwrap() == "task after 3"


def test_the_last_failure_is_the_handlers_own(queue: MemoryStorage) -> None:
    """With no attempt left the task is KILLED, and its error is not the layer's."""
    task_id = queue.push("task", max_attempts=1)
    _run(queue, Handler(OSError("no network")), Retry())
    error = queue.wait(task_id, 5).error
    assert error is not None
    assert (error.type, error.message) == ("OSError", "no network")


@pytest.mark.parametrize(
    ("error", "layer"),
    [
        (ValueError, Retry(on=OSError)),
        (FileNotFoundError, Retry(on=OSError, give_up_on=(FileNotFoundError,))),
        (Abort, Retry()),
    ],
)
def test_what_is_of_no_use_is_given_up(queue: MemoryStorage, error: type[Exception], layer: Retry) -> None:
    """Errors that are not named, those that are excepted, and `Abort` end the task, whatever is left."""
    task_id = queue.push("task", max_attempts=5)
    handler = Handler(error("bad"))
    _run(queue, handler, layer)
    told = queue.wait(task_id, 5).error
    assert told is not None
    name = error.__name__ if error is not Abort else "ipcq.errors.Abort"
    assert (told.type, told.message, handler.runs) == (name, "bad", 1)


@pytest.mark.parametrize("layers", [(), (Retry(1),)])
def test_a_handler_may_say_when(queue: MemoryStorage, layers: tuple[Any, ...]) -> None:
    """`RetryAfter` counts with and without the layer; raised from an error it is that one which is stored."""
    late = RetryAfter(100)
    late.__cause__ = OSError("busy")
    task_id = queue.push("task", max_attempts=2)
    _run(queue, Handler(late), *layers)
    assert 90 < _due_in(queue, task_id) <= 100


def test_delays_grow_up_to_the_longest() -> None:
    """By the factor, from run to run, however many there were; jitter shortens them by its share."""
    plain = Retry(1, factor=3, longest=50, jitter=0)
    assert [plain.after(attempts) for attempts in (0, 1, 2, 3, 4, 16_383)] == [1, 3, 9, 27, 50, 50]
    shaken = Retry(8, jitter=0.25, chance=random.Random(1))
    found = [shaken.after(0) for _ in range(200)]
    assert 6 <= min(found) < 6.2
    assert 7.8 < max(found) <= 8


@pytest.mark.parametrize(
    "options",
    [{"delay": -1}, {"factor": 0.5}, {"longest": -1}, {"jitter": 2}, {"delay": float("nan")}],
)
def test_numbers_out_of_bounds(options: dict[str, float]) -> None:
    """They are refused, and named."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Retry(**options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 seconds or more"):
        RetryAfter(-1)


def test_it_can_be_pickled() -> None:
    """A Monitor hands layers to its workers; errors travel, too."""
    assert repr(pickle.loads(pickle.dumps(Retry(2)))) == repr(Retry(2))
    copy = pickle.loads(pickle.dumps(RetryAfter(5, "later")))
    assert (copy.seconds, str(copy)) == (5, "later")


@pytest.mark.parametrize("options", [{"on": [OSError]}, {"on": "OSError"}, {"give_up_on": (OSError, 5)}])
def test_what_is_no_class_of_errors_is_refused(options: dict[str, Any]) -> None:
    """At once, not when the first run fails, which would hide its error."""
    with pytest.raises(TypeError, match=f"{next(iter(options))}=.* class of errors"):
        Retry(**options)
