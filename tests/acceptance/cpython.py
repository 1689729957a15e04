"""`ipcq.Executor` under the names by which CPython's own tests know `ProcessPoolExecutor`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import psutil

from ipcq import Executor

__all__ = ["Adapted", "adapted_script"]


class _Process:
    """What the tests do with a worker's process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def terminate(self) -> None:
        """End it."""
        os.kill(self._pid, signal.SIGTERM)

    def join(self) -> None:
        """Wait for its end."""
        if psutil.pid_exists(self._pid):
            psutil.Process(self._pid).wait()


class _CallQueue:
    """There is no thread that feeds it."""

    def join_thread(self) -> None:
        """Nothing is to be waited for."""


class Adapted(Executor):
    """Private names of `ProcessPoolExecutor`, read by the tests."""

    _call_queue = _CallQueue()

    @property
    def _processes(self) -> dict[int, _Process]:
        return {pid: _Process(pid) for pid in self.workers}

    @property
    def _executor_manager_thread(self) -> threading.Thread | None:
        return self._engine.thread

    @property
    def _broken(self) -> str:
        return self._engine.failure


Adapted.__name__ = "Executor"  # the tests write it into the programs that they run


def adapted_script(run: Callable[..., Any]) -> Callable[..., Any]:
    """What runs a program, of which `ipcq.Executor` is to be the executor.

    One of them sets multiprocessing's start method without importing that; it never runs with
    `ProcessPoolExecutor`.
    """

    def run_adapted(option: str, script: str) -> Any:
        return run(
            option,
            script.replace(
                "from concurrent.futures import Executor", "import multiprocessing; from ipcq import Executor"
            ),
        )

    return run_adapted
