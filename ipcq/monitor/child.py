"""What runs in a worker process."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from ..errors import HandlerNotFound, QueueClosed, QueueNotFound
from ..limits.board import Board
from ..limits.kin import end_kin
from ..limits.layer import RunLimit
from ..task import Task
from ..worker import Worker
from .job import Job
from .leash import Leash, end_with_parent
from .leaving import leave_in_time
from .messages import Began, Demand, Failed, FinalError, Ready, Worked

__all__ = ["SupervisedWorker", "work"]

_FINAL = (FinalError, HandlerNotFound, QueueClosed, QueueNotFound, ImportError)
_STOPPED = 128 + signal.SIGTERM  # exit code, as shells count it
_LONGEST_REASON = 1000  # characters of one line

Initializer = Callable[..., object]


class SupervisedWorker(Worker):
    """A worker that reports to a Monitor, and is forced by it alone.

    A service manager, or ``timeout``, sends SIGTERM to a whole group: to the workers, too, which
    then hear it twice. So SIGTERM means the same however often it comes, until the Monitor said
    through the link that it means to force.
    """

    link: Connection
    urgent = False  # the next signal forces
    most: int | None = None  # tasks after which it ends, and another process takes its place
    limit: RunLimit

    def progressed(self) -> None:
        """Tell the Monitor once that the worker is ready, and once that it works."""
        if self.most is not None and self.tasks >= self.most:
            self.stop()
        if self.tasks < 2:
            _tell(self.link, Worked() if self.tasks else Ready())

    def signalled(self) -> None:
        """Stop; give back what runs, or break it off, only if the Monitor says so."""
        self.stop()
        if self.urgent:
            self.force()
        overrun = self.limit.overrun()
        if overrun is not None:
            self._overrun(self.limit.task_id, overrun)

    def timeout_of(self, task: Task[Any]) -> float | None:
        """The shorter of its own and that of the limits."""
        return self.limit.timeout_of(task)


def work(
    name: str,
    job: Job,
    link: Connection,
    board: Board,
    monitor: int,
    initializer: Initializer | None,
    initargs: Any,
) -> None:
    """Be a worker process until told to end; exit with 1 after an error, which the Monitor is told.

    Args:
        name: the worker's id.
        link: to the Monitor.
        board: shared with it.
        monitor: its process id.
        initializer: called first, with ``initargs``.
    """
    # A terminal's Ctrl-C reaches all processes; what it means to workers, their Monitor tells them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])  # see Supervisor
    end_with_parent()
    code = 1
    try:
        _run(name, job, link, board, monitor, initializer, initargs)
        code = 0
    except BaseException as error:  # SystemExit too: a module without a __main__ guard
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        _tell(link, Failed(reason[:_LONGEST_REASON], isinstance(error, _FINAL)))
        sys.exit(code)
    finally:
        if board.was_ordered:  # what a run leaves that was broken off
            end_kin(os.getpid(), itself=False)
        leave_in_time(code)


def _run(
    name: str,
    job: Job,
    link: Connection,
    board: Board,
    monitor: int,
    initializer: Initializer | None,
    initargs: Any,
) -> None:
    worker: SupervisedWorker | None = None

    def signalled(*_: object) -> None:
        if worker is None:
            os._exit(_STOPPED)  # it holds nothing yet
        worker.signalled()  # a moment before or after it runs, so nothing is cut off

    def obey(demand: Demand) -> None:
        if worker is not None:
            worker.urgent = worker.urgent or demand >= Demand.FORCE
            worker.stop()  # CPython 3.13 runs no signal handlers in a child that a thread has forked
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    signal.signal(signal.SIGTERM, signalled)
    Leash(link, monitor, obey)
    if initializer is not None:
        initializer(*initargs)  # before the handler is looked for: it may make that importable
    backend, handler, layers, provide = job.open()
    worker = _built(
        name,
        backend,
        handler,
        layers=layers,
        concurrency=job.concurrency,
        prefetch=job.prefetch,
        provide=provide,
        on_event=job.listener(),
    )
    worker.link, worker.most, worker.limit = (
        link,
        job.max_tasks,
        RunLimit(board, job.limits, partial(_tell, link, Began())),
    )
    worker.guards = (worker.limit,)
    board.dump_on_signal()
    worker.run()
    backend.close()


def _built(*args: Any, **options: Any) -> SupervisedWorker:
    try:
        return SupervisedWorker(*args, **options)
    except (TypeError, ValueError) as error:  # what does not go together now does not in the next process
        raise FinalError(str(error)) from error


def _tell(link: Connection, message: Ready | Worked | Began | Failed) -> None:
    try:
        link.send(message)
    except OSError:  # the Monitor is gone; the leash knows what to do then
        pass
