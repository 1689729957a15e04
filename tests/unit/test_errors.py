"""The tree of errors."""

from __future__ import annotations

import pickle
import queue
from concurrent.futures.process import BrokenProcessPool

import pytest

import ipcq
from ipcq import Status, TaskId, WorkerDied, errors
from ipcq.errors import IllegalTransition, IpcqError, NotSupported, ResultExpired, RetryAfter, TaskSinkError

ALL = [getattr(errors, name) for name in errors.__all__]


def test_every_error_has_the_one_root() -> None:
    """``except IpcqError`` catches whatever ipcq raises on purpose."""
    assert [kind for kind in ALL if not issubclass(kind, IpcqError) or not kind.__doc__] == []


@pytest.mark.parametrize(
    ("name", "standard"),
    [
        ("QueueFull", queue.Full),
        ("TaskNotFound", LookupError),
        ("ResultExpired", LookupError),
        ("WaitTimeout", TimeoutError),
        ("WorkerDied", BrokenProcessPool),
        ("UnsafeDirectory", PermissionError),
        ("QueueNotFound", LookupError),
        ("QueueStalled", TimeoutError),
    ],
)
def test_errors_are_what_users_catch_already(name: str, standard: type[Exception]) -> None:
    """A condition that the standard library has a class for is caught by that class too."""
    assert issubclass(getattr(ipcq, name), standard)


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    """Each class stands in the drawing once, one step right of its parent, with its second base."""
    assert errors.__doc__ is not None
    path: list[str] = []
    drawn = []
    for line in errors.__doc__.splitlines():
        text = line.lstrip(" │├└─")
        name = text.split(" ")[0]
        if not line.startswith("    ") or not hasattr(errors, name):
            continue
        depth = (len(line) - len(text)) // 4 - 1
        path[depth:] = [name]
        drawn.append(name)
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert bases[0] == (path[depth - 1] if depth else "Exception")
        told = text.split("(")[1].split(")")[0].split(".")[-1] if "(" in text else None
        assert bases[1:] == ([told] if told else [])
    assert sorted(drawn) == sorted(errors.__all__)


def test_errors_travel_between_processes() -> None:
    """An error that is pickled arrives as the same class with the same message."""
    for kind in set(ALL) - {IllegalTransition, NotSupported, ResultExpired, RetryAfter}:
        copy = pickle.loads(pickle.dumps(kind("what happened")))
        assert (type(copy), str(copy)) == (kind, "what happened")


def test_a_dead_worker_is_described() -> None:
    """WorkerDied carries who died, of what, and how large it was."""
    error = WorkerDied("killed", pid=7, signal=9, worker="w-1", rss=4096)

    assert (error.pid, error.signal, error.exitcode, error.worker, error.rss) == (7, 9, None, "w-1", 4096)


def test_an_illegal_transition_names_both_ends() -> None:
    """The message has the names of the two statuses, the attributes the statuses."""
    error = IllegalTransition(Status.DONE, Status.RUNNING)

    assert str(error) == "a task cannot move from DONE to RUNNING"
    assert (error.source, error.target) == (Status.DONE, Status.RUNNING)


def test_an_expired_result_tells_whose_it_was() -> None:
    """For programs by the task's id, for people with what to do; pickled, too."""
    error = ResultExpired(TaskId.new())
    copy = pickle.loads(pickle.dumps(error))

    assert (copy.task_id, str(copy)) == (error.task_id, str(error))
    assert f"result of task {error.task_id} was removed before it was fetched; fetch earlier" in str(error)


def test_a_missing_capability_names_the_backend() -> None:
    """NotSupported tells which capability, of what, and where to see what there is."""
    error = NotSupported("Vacuum", "<Pipe>")

    assert "'<Pipe>' does not support Vacuum" in str(error)
    assert error.capability == "Vacuum"


def test_whoever_pushes_catches_one_class() -> None:
    """All that a push can raise for its task is a TaskSinkError."""
    for name in ("PushError", "CodecError", "QueueFull", "QueueClosed", "DuplicateTask"):
        assert issubclass(getattr(errors, name), TaskSinkError)
