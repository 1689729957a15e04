"""How a worker process ended, in words."""

from __future__ import annotations

import signal

from ..backend import WorkerExit
from .process import WorkerProcess

__all__ = ["describe"]


def describe(process: WorkerProcess, end: WorkerExit) -> str:
    """One line for people: who ended, how, and why as far as it is known."""
    return f"worker {process.name!r} (pid {end.pid}) {how(end)}{_why(process, end)}"


def how(end: WorkerExit) -> str:
    """How the process ended."""
    if end.exitcode >= 0:
        return f"ended with exit code {end.exitcode}"
    try:
        name = signal.Signals(-end.exitcode).name
    except ValueError:  # a real-time signal
        name = f"signal {-end.exitcode}"
    return f"was killed by {name}{' (out of memory)' if end.out_of_memory else ''}"


def _why(process: WorkerProcess, end: WorkerExit) -> str:
    if process.failed is not None:
        return f": {process.failed.reason}"
    if process.watch.told:
        return f": {process.watch.told}"
    if process.ready:
        return ""
    if end.exitcode == 1:
        return (
            " before it was ready, see its standard error;"
            " a script must start its Monitor or Executor under: if __name__ == '__main__'"
        )
    return " before it was ready"
