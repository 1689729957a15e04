"""One worker process, as its Monitor sees it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from ..backend import WorkerExit
from ..limits import Limits
from ..limits.board import Board
from ..limits.watch import Watch
from .child import Initializer, work
from .job import Job
from .messages import Began, Demand, Failed, Ready, Worked

__all__ = ["Launcher", "WorkerProcess"]

_SERVER_MODULE = f"{__package__}.server"
_TRIES = 3
_UNKNOWN = 255  # what multiprocessing says, too, when somebody else took the exit code


class WorkerProcess:
    """A started worker process.

    Attributes:
        name: the worker's id.
        ready: it was about to take tasks.
        worked: it ran a task to the end.
        failed: what it said about its end, if it said something.
        watch: ends it where it has too much of something.
    """

    def __init__(
        self,
        name: str,
        process: Any,
        link: Connection,
        board: Board,
        limits: Limits,
        end_run: Callable[..., bool] | None,
    ) -> None:
        self.name = name
        self.ready = False
        self.worked = False
        self.failed: Failed | None = None
        self._process = process
        self._link = link
        self._linked = True
        self._started = monotonic()
        self._told = Demand.RUN
        self.pid: int = process.pid
        self.sentinel: int = process.sentinel
        self.watch = Watch(self.pid, board, limits, end_run, self._leave)

    def __repr__(self) -> str:
        state = "working" if self.worked else "ready" if self.ready else "starting"
        return f"<WorkerProcess {self.name!r} {self.pid}: {state}>"

    @property
    def waitables(self) -> list[Any]:
        """What becomes ready when something happens to it."""
        return [self.sentinel, self._link] if self._linked else [self.sentinel]

    @property
    def has_ended(self) -> bool:
        """Whether its exit code is there; to be asked in the thread that started it."""
        return self._process.exitcode is not None

    @property
    def lived(self) -> float:
        """Seconds since it was started."""
        return monotonic() - self._started

    def listen(self) -> bool:
        """Take in what it said; True when that is that it has just run its first task."""
        before = self.worked
        try:
            while self._linked and self._link.poll():
                self._hear(self._link.recv())
        except (EOFError, OSError):
            self._linked = False
        return self.worked and not before

    def _hear(self, message: Ready | Worked | Began | Failed) -> None:
        if isinstance(message, Failed):
            self.failed = message
        elif not isinstance(message, Began):  # that is on the board, and will be looked at
            self.ready = True
            self.worked = isinstance(message, Worked)

    def _leave(self) -> None:
        self.obey(Demand.STOP)

    def obey(self, demand: Demand) -> None:
        """Pass on what is asked of all, once."""
        if self._told < demand:
            self._told = demand
            if demand is Demand.KILL:
                self._process.kill()
            else:
                self._tell(demand)

    def bury(self) -> WorkerExit:
        """Take in its last words and its exit code, and free what it held here."""
        if self._process.exitcode is None:  # it closed all descriptors, the one by which it is told of, too
            self._process.kill()
        self._process.join()
        self.listen()
        self._link.close()
        self.watch.close()
        exitcode = self._process.exitcode
        if exitcode is not None:
            self._process.close()
        return WorkerExit(self.pid, _UNKNOWN if exitcode is None else exitcode)

    def _tell(self, demand: Demand) -> None:
        try:
            self._link.send(demand)
        except OSError:  # it is ending
            pass
        # Beside the message, which waits until the main module was imported. The signal alone
        # would not do: between the fork and its first steps, a child of the fork server ignores it.
        self._process.terminate()


class Launcher:
    """Starts worker processes, all alike.

    Args:
        name: what the workers' ids begin with.
        job: what they do.
        start_method: of multiprocessing; None for the fork server on Linux, and spawn elsewhere.
        initializer: called first in each process, with ``initargs``.
        preload: modules that the fork server may import for all, because they are ours.
        end_run: of the backend, if it has it.
    """

    def __init__(
        self,
        name: str,
        job: Job,
        start_method: str | None,
        initializer: Initializer | None,
        initargs: Any,
        preload: Iterable[str] = (),
        end_run: Callable[..., bool] | None = None,
    ) -> None:
        # fork copies locks that other threads hold; a fork server costs one start, then a few ms each.
        self.method = start_method or ("forkserver" if sys.platform == "linux" else "spawn")
        self.name = name
        self._context: Any = multiprocessing.get_context(self.method)
        self._job = job
        self._end_run = end_run
        self._initializer, self._initargs = initializer, initargs
        self._preload = [_SERVER_MODULE, *preload]

    def __repr__(self) -> str:
        return f"<Launcher of {self.name!r} by {self.method}>"

    def prepare(self) -> None:
        """Get ready to start processes; to be called in the thread that will start them."""
        if self.method == "forkserver":
            # The list is the whole program's: add to it. Of no effect where the server runs already.
            server = getattr(forkserver, "_forkserver", None)
            theirs = [m for m in getattr(server, "_preload_modules", ()) if m not in self._preload]
            self._context.set_forkserver_preload(theirs + self._preload)
            # A Ctrl-C at its start would be its end. It starts with the signal blocked, and stays so: what it
            # forks does not, see `server`.
            resource_tracker.ensure_running()  # or the fork server starts it, which unblocks the signal
            before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
            try:
                forkserver.ensure_running()
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        else:
            # What a process inherits: a Ctrl-C waits until the worker has said that it ignores it.
            # Not through the fork server, which would pass it on to everybody else's processes.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])

    def start(self, place: int) -> WorkerProcess:
        """Start the worker of this place."""
        name = f"{self.name}-{place}"
        ours, theirs = self._context.Pipe()
        board = Board()
        try:
            # Not daemonic: handlers may want processes of their own. So multiprocessing would wait
            # for workers at the interpreter's exit; the Supervisor stops them before.
            process = self._context.Process(
                target=work,
                args=(name, self._job, theirs, board, os.getpid(), self._initializer, self._initargs),
                name=name,
                daemon=False,
            )
            self._start(process)
        except BaseException:
            ours.close()
            board.close()
            raise
        finally:
            theirs.close()
        return WorkerProcess(name, process, ours, board, self._job.limits, self._end_run)

    def _start(self, process: Any) -> None:
        """Start a process; by another fork server, where the one that was asked was killed just then."""
        for _ in range(_TRIES - 1):
            try:
                process.start()
            except (EOFError, ConnectionError):
                self.prepare()
            else:
                return
        process.start()
