"""The error of a task whose worker died; apart from the others for what its base class imports."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool

from .errors import IpcqError

__all__ = ["WorkerDied"]


class WorkerDied(IpcqError, BrokenProcessPool):
    """The process running a task died, as often as the task's ``max_deaths`` allows.

    Attributes:
        pid: process id of the last worker that died running it.
        signal: number of the signal that ended it, or None.
        exitcode: exit code where no signal ended it, or None where nobody saw it.
        worker: the worker's id.
        rss: resident memory of that process when last measured, in bytes; 0 if never.
    """

    def __init__(
        self,
        message: str,
        *,
        pid: int = 0,
        signal: int | None = None,
        exitcode: int | None = None,
        worker: str = "",
        rss: int = 0,
    ) -> None:
        super().__init__(message)
        self.pid = pid
        self.signal = signal
        self.exitcode = exitcode
        self.worker = worker
        self.rss = rss
