"""Handlers that fork."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest

from ipcq.worker import Worker

from .fakes import FakeBackend

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


def _come_back(how: str) -> int:
    """Fork; the child comes back. Its exit code in the parent."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if how == "raise":
        raise ValueError
    if how == "exit":
        sys.exit(7)
    return -1


async def _come_back_in_a_loop(how: str) -> int:
    return _come_back(how)


@pytest.mark.parametrize("handler", [_come_back, _come_back_in_a_loop])
@pytest.mark.parametrize(("how", "code"), [("return", 1), ("raise", 1), ("exit", 7)])
def test_a_fork_that_comes_back_is_ended(handler: Any, how: str, code: int) -> None:
    """It is no second worker: it stores nothing, and takes nothing from the first one."""
    backend = FakeBackend([how, how])
    Worker("w", backend, handler).run(until_empty=True)
    assert [entry for entry in backend.log if entry[0] in {"finish", "fail"}] == [("finish", how, code)] * 2
