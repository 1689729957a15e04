"""TaskResult and ErrorInfo: what comes back."""

from __future__ import annotations

import pickle
import traceback

import pytest

from ipcq import ErrorInfo, Status, TaskFailed, TaskId, TaskResult, WorkerDied
from ipcq.result.error_info import RemoteTraceback

ID = TaskId.new()


class Odd(Exception):
    """An exception that cannot even be shown."""

    def __init__(self, kind: type[BaseException] = RuntimeError) -> None:
        super().__init__()
        self._kind = kind

    def __str__(self) -> str:
        raise self._kind("no text")


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_a_value_is_unwrapped() -> None:
    """`unwrap` of a DONE task returns its value, None too."""
    assert TaskResult(ID, Status.DONE, value=7).unwrap() == 7
    empty: TaskResult[None] = TaskResult(ID, Status.DONE)
    assert empty.unwrap() is None


def test_a_failure_shows_the_remote_traceback() -> None:
    """`unwrap` raises TaskFailed whose printed cause is the traceback of the other process."""
    error = ErrorInfo.from_exception(_raised(ValueError("no such colour")))
    result: TaskResult[int] = TaskResult(ID, Status.KILLED, error=error)

    with pytest.raises(TaskFailed, match=f"task {ID} was KILLED: ValueError: no such colour") as caught:
        result.unwrap()

    assert isinstance(caught.value.__cause__, RemoteTraceback)
    shown = "".join(traceback.format_exception(caught.value))
    assert "in _raised" in shown
    assert "raise error" in shown


def test_a_dead_worker_is_the_cause() -> None:
    """A task whose worker died fails with WorkerDied, details included."""
    details = {"pid": 7, "signal": 9, "exitcode": None, "worker": "w", "rss": 1}
    error = ErrorInfo("WorkerDied", "killed by SIGKILL", details=details)

    result: TaskResult[int] = TaskResult(ID, Status.KILLED, error=error)
    with pytest.raises(TaskFailed) as caught:
        result.unwrap()

    cause = caught.value.__cause__
    assert isinstance(cause, WorkerDied)
    assert {name: getattr(cause, name) for name in details} == details


def test_a_builtin_goes_by_its_name_and_others_by_their_module() -> None:
    """The type's name is what a person would search for."""
    assert ErrorInfo.from_exception(KeyError("k")).type == "KeyError"
    assert ErrorInfo.from_exception(Odd()).type == f"{__name__}.Odd"


@pytest.mark.parametrize("kind", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_describing_an_error_never_raises(kind: type[BaseException]) -> None:
    """An exception that cannot show itself is described all the same."""
    info = ErrorInfo.from_exception(_raised(Odd(kind)))

    assert info.message == f"<its __str__ raised {kind.__name__}>"
    assert "Odd" in str(info.cause())


def test_a_long_error_is_cut() -> None:
    """The start of a long message is kept, and the end of a long traceback."""
    info = ErrorInfo.from_exception(_raised(ValueError("<" + "x" * 50_000 + ">")))

    assert len(info.message) == 4096
    assert info.message.startswith("<x")
    assert len(info.traceback) == 16384
    assert info.traceback.endswith("x>\n")


def test_an_error_without_message_is_its_type() -> None:
    """There is no colon with nothing behind it."""
    assert str(ErrorInfo("KeyError", "")) == "KeyError"
    assert str(ErrorInfo("KeyError", "k")) == "KeyError: k"


def test_results_are_values() -> None:
    """Results compare by what they hold, cannot be changed, and can be pickled."""
    result: TaskResult[int] = TaskResult(ID, Status.KILLED, error=ErrorInfo("E", "m"))

    assert result == TaskResult(ID, Status.KILLED, error=ErrorInfo("E", "m"))
    assert pickle.loads(pickle.dumps(result)) == result
    with pytest.raises(AttributeError):
        result.value = 1  # type: ignore[misc]
