"""What is told of a worker that died: the same words whatever the backend."""

from __future__ import annotations

import signal

from ..result import ErrorInfo

__all__ = ["worker_died"]


def worker_died(
    *, pid: int, worker: str, exitcode: int | None, rss: int, out_of_memory: bool, deaths: int
) -> ErrorInfo:
    """The error of a task whose last death this was.

    Args:
        exitcode: as in ``multiprocessing``: negative is the number of the signal; None: nobody saw it.
        rss: resident memory when last measured, in bytes.
        deaths: how many this task has had.
    """
    number = -exitcode if exitcode is not None and exitcode < 0 else None
    return ErrorInfo(
        "WorkerDied",
        f"worker {worker or '?'} (pid {pid}) died running it: {_cause(exitcode, number, out_of_memory)},"
        f" death {deaths} of this task, the last that its max_deaths allows;"
        f" resident memory {rss / 1e6:.0f} MB; {_hint(number, out_of_memory)}",
        "",
        {
            "pid": pid,
            "signal": number,
            "exitcode": exitcode if number is None else None,
            "worker": worker,
            "rss": rss,
        },
    )


def _cause(exitcode: int | None, number: int | None, oom: bool) -> str:
    if oom:
        return "the kernel's out-of-memory killer ended it"
    if number is not None:
        try:
            return f"signal {number} ({signal.Signals(number).name})"
        except ValueError:
            return f"signal {number}"
    return "nobody saw how" if exitcode is None else f"exit code {exitcode}"


def _hint(number: int | None, oom: bool) -> str:
    if oom or number == signal.SIGKILL:
        return "out of memory? use fewer workers or smaller items"
    if number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL):
        return "a crash in native code: run it alone with python -X faulthandler"
    return "run it alone to see why"
