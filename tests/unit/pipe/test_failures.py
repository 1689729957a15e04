"""Errors that travel: what a class adds to its text arrives."""

from __future__ import annotations

import pytest

from ipcq import IllegalTransition, IpcqError, QueueFull, ResultExpired, Status, StorageError, TaskId
from ipcq.backends.pipe.failures import pack_failure, unpack_failure

FULL = QueueFull("no room")
FULL.accepted, FULL.waiting_helps = [TaskId.new()], False


@pytest.mark.parametrize(
    "error",
    [FULL, IllegalTransition(Status.DONE, Status.RUNNING), ResultExpired(TaskId.new()), StorageError("gone")],
    ids=lambda error: type(error).__name__,
)
def test_what_an_error_knows_arrives(error: IpcqError) -> None:
    """The class, the text and all attributes are those of the error behind the pipe."""
    there = unpack_failure(pack_failure(error))
    assert (type(there), str(there), vars(there)) == (type(error), str(error), vars(error))


def test_what_is_not_known_here_is_its_nearest_class() -> None:
    """A stranger's error comes as what it extends, or as one of the storage."""

    class Own(ResultExpired):
        """Somebody's."""

    assert type(unpack_failure(pack_failure(Own(TaskId.new())))) is ResultExpired
    assert type(unpack_failure(pack_failure(OSError("disk")))) is StorageError
