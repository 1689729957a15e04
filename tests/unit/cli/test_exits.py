"""Exit statuses and the one line of complaint."""

from __future__ import annotations

import errno
import os

import pytest

from ipcq import HandlerNotFound, IpcqError, MonitorFailed, QueueFull
from ipcq.cli.exits import UsageError, complain, one_line, status_of


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("x"), 2),
        (HandlerNotFound("x"), 2),
        (_caused(MonitorFailed("x"), HandlerNotFound("y")), 2),
        (MonitorFailed("x"), 1),
        (QueueFull("x"), 1),
        (OSError("x"), 1),
        (BrokenPipeError(), 141),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_error_has_its_status(error: BaseException, status: int) -> None:
    """Wrong use is 2, work that cannot be done 1, the rest as a shell counts signals."""
    assert status_of(error) == status


def test_a_complaint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the message looks like, one line goes to standard error."""
    assert complain(IpcqError("two\n  lines")) == 1
    assert capsys.readouterr() == ("", "ipcq: error: two lines\n")


@pytest.mark.parametrize("error", [BrokenPipeError(), KeyboardInterrupt()])
def test_the_end_that_was_asked_for_is_quiet(
    error: BaseException, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C, or a reader that has seen enough, is nothing to complain about."""
    complain(error)
    assert capsys.readouterr().err == ""


def test_an_error_without_words_has_its_name() -> None:
    """A line is never empty."""
    assert one_line(QueueFull()) == "QueueFull"


def test_a_full_disk_has_advice() -> None:
    """What the system says is not enough to know what to do."""
    assert one_line(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))).endswith("; make room and run again")
