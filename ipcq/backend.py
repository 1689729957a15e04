"""Where tasks live: one Protocol for each capability that a backend may have."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import IntEnum
from types import TracebackType
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .layer import Layer
from .result import ErrorInfo, TaskResult
from .status import Status
from .task import Progress, Queue, Task, TaskId

__all__ = [
    "AskWorker",
    "Backend",
    "Cancel",
    "Completions",
    "ConfigExt",
    "EndRun",
    "FetchById",
    "Permit",
    "OnProgress",
    "RegisterWorker",
    "Reschedule",
    "ResumeAbandoned",
    "ResumeById",
    "ShareLimits",
    "TaskStream",
    "Turn",
    "ShowProgress",
    "Update",
    "Vacuum",
    "WaitForCompletion",
    "WorkerExit",
    "WorkerLease",
    "WorkerRequest",
]


OnProgress = Callable[[TaskId, Progress], object]
"""Called with a task that is awaited, and how far its run is."""


class WorkerExit(NamedTuple):
    """How a worker process ended.

    Attributes:
        pid: the process.
        exitcode: as in ``multiprocessing``: negative is the number of the signal.
        rss: its resident memory when last measured, in bytes; 0 for unknown.
        out_of_memory: whether the kernel's memory killer is to blame.
    """

    pid: int
    exitcode: int
    rss: int = 0
    out_of_memory: bool = False


class TaskStream(Protocol):
    """What `Backend.poll` returns: tasks for one worker, None where nothing was found.

    ``next()`` returns within about half a second. Both a plain and an async iterator.
    """

    def __iter__(self) -> Iterator[Task[Any] | None]: ...
    def __next__(self) -> Task[Any] | None: ...
    def __aiter__(self) -> AsyncIterator[Task[Any] | None]: ...
    async def __anext__(self) -> Task[Any] | None: ...
    def look(self) -> Task[Any] | None:
        """The next task if there is one now: `next` without waiting. None when the stream has ended, too."""
        ...

    def wake(self) -> None:
        """Make a `next` that waits in another thread return None; if none waits, the following one.

        A signal handler may call it, so it must not wait for a lock; after `close` it does nothing.
        """
        ...

    def close(self) -> None:
        """Give back what was handed out ahead and not started, and end the stream."""
        ...


class WorkerRequest(IntEnum):
    """What a worker can be asked to do."""

    RUN = 0
    """Take tasks: what it does unless asked for something else."""
    STOP = 1
    """Give back what it only holds, and end; for good. A Monitor starts another in its place."""
    PAUSE = 2
    """Give back what it only holds, and take none until it is asked to go on."""


class WorkerLease(Protocol):
    """A worker's place in a queue. Leaving it gives back what the worker still has."""

    @property
    def worker_id(self) -> str:
        """The id it was registered with."""
        ...

    @property
    def request(self) -> WorkerRequest:
        """What another process asks of this worker."""
        ...

    def heartbeat(self) -> list[TaskId]:
        """Tell people that the worker moves, and do its share of the queue's housekeeping.

        Returns:
            The tasks of dead owners that went back to the queue by that, and while it looked for tasks since.
        """
        ...

    def finish(self, task: Task[Any], value: Any) -> None:
        """RUNNING -> DONE with this value; `LeaseLost` where the task is no longer this worker's.

        `CodecError` where the value cannot be encoded; then the task is still RUNNING.
        """
        ...

    def fail(
        self, task: Task[Any], error: ErrorInfo, *, retry_in: float = 0.0, final: bool = False
    ) -> Status:
        """RUNNING -> FAILED, due again in ``retry_in`` seconds; KILLED with no attempt left.

        Args:
            final: KILLED whatever is left.

        Returns:
            FAILED or KILLED. `LeaseLost` as in `finish`.
        """
        ...

    def give_back(self, task: Task[Any]) -> bool:
        """QUEUED or RUNNING -> PENDING at its old place, nothing charged; False if not ours now."""
        ...

    def postpone(self, task: Task[Any], seconds: float) -> bool:
        """QUEUED or RUNNING -> PENDING, due in ``seconds``, nothing charged; False if not ours now.

        One step: whoever took or ended the task meanwhile is not disturbed. A backend without `Reschedule`
        may raise `NotSupported`.
        """
        ...

    def progress(self, task: Task[Any], progress: Progress) -> None:
        """Note how far the run of a task is, in the place of what it told before; cheap, and from any thread.

        Others may see it half a second later. Where the task is not this worker's any more, and with a
        backend without `ShowProgress`, it does nothing.
        """
        ...

    def hurry(self) -> None:
        """Wait for no room from now on, as `finish`, `fail` and `postpone` may: `ForcedStop` instead.

        Called by a forced stop, in a signal handler. Where nothing ever waits for room, it does nothing.
        """
        ...

    def close(self) -> None:
        """Give everything back and leave the queue's list of workers."""
        ...

    def __enter__(self) -> WorkerLease: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class Backend(Protocol):
    """How a worker gets its tasks."""

    def poll(self, worker: str | WorkerLease, *, prefetch: int = 1) -> TaskStream:
        """Tasks for one worker, RUNNING when handed out; an id is registered for the stream's life.

        Args:
            worker: a lease of `register_worker`, or a worker id.
            prefetch: how many tasks to hold at once, the running one included.
        """
        ...

    def heartbeat(self, worker: WorkerLease) -> list[TaskId]:
        """The same as ``worker.heartbeat()``."""
        ...

    def middleware(self) -> Layer:
        """The outermost layer: stores what a run gave, whatever the layers inside it do.

        It needs a context with the attribute ``lease``, the `WorkerLease`.
        """
        ...

    def close(self) -> None:
        """Detach; give back what this process has."""
        ...

    def capabilities(self) -> frozenset[str]:
        """Names of the Protocols that this backend fulfils."""
        ...


@runtime_checkable
class ConfigExt(Protocol):
    """Has a queue and settings."""

    @property
    def queue(self) -> Queue:
        """The queue's name."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings in force, read from the queue itself."""
        ...


@runtime_checkable
class FetchById(Protocol):
    """Can look a task up."""

    def fetch_by_id(self, task_id: TaskId | str) -> Task[Any] | None:
        """The task in whatever status, or None."""
        ...


@runtime_checkable
class Update(Protocol):
    """Can change a task that is still owed a run."""

    def update(self, task: Task[Any], *, expect: Status | None = None) -> Task[Any]:
        """Store the parts of ``task`` that may change, all of them or none.

        These are `args`, `run_at`, `priority`, `max_attempts`, `max_deaths`, `timeout` and `metadata`. A
        QUEUED task goes back to PENDING, nothing charged; so does a FAILED one that has no attempt left.

        Args:
            task: as fetched (`FetchById`, a listing), its attributes changed. Its lease, where it has one,
                must still be the stored task's.
            expect: the status that the stored task must have; None for any.

        Returns:
            The task as it is stored now.

        Raises:
            TaskNotFound: there is none with this id.
            Conflict: the stored task has another status or epoch than expected; nothing was changed.
            IllegalTransition: it is RUNNING under a live owner, or DONE.
        """
        ...


@runtime_checkable
class Reschedule(Protocol):
    """Can put a task off, or bring it forward."""

    def reschedule(
        self, task: TaskId | str | Task[Any], wait: float | timedelta | datetime, *, force: bool = False
    ) -> None:
        """Make a task PENDING, due ``wait`` from now (seconds, or a timedelta) or at a datetime.

        Whoever had a lease on it has lost it.

        Args:
            force: also a RUNNING task of a live owner; what that run gives is refused.

        Raises:
            TaskNotFound: there is none with this id.
            IllegalTransition: it is DONE, or RUNNING under a live owner without ``force``.
        """
        ...


@runtime_checkable
class ResumeById(Protocol):
    """Can have a task run again, or at once."""

    def resume_by_id(self, task_id: TaskId | str, *, reset: bool = False) -> bool:
        """Make a task PENDING and due now.

        Args:
            reset: attempts and deaths start at 0 again.

        Returns:
            True when it was moved: from FAILED, KILLED, not yet due PENDING, or QUEUED or RUNNING of a dead
            owner. False when it is DONE, due already, or its owner lives. A KILLED task whose attempts or
            deaths are used up gets one more run without ``reset``.

        Raises:
            TaskNotFound: there is none with this id.
        """
        ...


@runtime_checkable
class Cancel(Protocol):
    """Can stop a task from being run."""

    def cancel(self, task_id: TaskId | str, *, running: bool = False) -> bool:
        """Make a task KILLED, with the error ``Cancelled``.

        Args:
            running: also one that is RUNNING: the process that runs it is killed (its Monitor replaces it);
                where the worker is in this very process, its lease is taken and what the run gives refused.

        Returns:
            True if it will not run, or was ended. False when it was terminal already, or is RUNNING and
            ``running`` was not given.

        Raises:
            TaskNotFound: there is none with this id.
        """
        ...


@runtime_checkable
class RegisterWorker(Protocol):
    """Knows its workers."""

    def register_worker(self, worker_id: str, *, layers: Iterable[str] = ()) -> WorkerLease:
        """Enter a worker; `WorkerExists` while another with this id provably lives.

        After a crash the id is taken over at once and its predecessor's tasks are returned.
        """
        ...


@runtime_checkable
class ResumeAbandoned(Protocol):
    """Can return the tasks of dead workers. Runs by itself too."""

    def resume_abandoned(self, *, exits: Iterable[WorkerExit] = ()) -> list[TaskId]:
        """Return the tasks of dead owners to the queue, and tell which.

        Args:
            exits: how worker processes ended, from who saw it; told in `WorkerDied`. Then only what these
                had is returned: others may be seen to end, too. Without it, what all the dead had.
        """
        ...


@runtime_checkable
class AskWorker(Protocol):
    """Can pass on to a worker, wherever it runs, what it is to do."""

    def ask_worker(self, worker_id: str, request: WorkerRequest) -> bool:
        """Have a worker pause, go on, or stop; it hears it with its next heartbeat, within half a second.

        What it runs at that moment it finishes in any case. Who takes the place of a dead one was not asked.

        Returns:
            True where a live worker has this id, and was not asked to stop before.
        """
        ...


class Completions(Protocol):
    """What `wait_for` returns: results in the order in which they came, each id once.

    Both a plain and an async iterator. Ids can be added while it runs.
    """

    def add(self, ids: Iterable[TaskId]) -> None:
        """Wait for these too; `TaskNotFound` for an unknown one."""
        ...

    def discard(self, ids: Iterable[TaskId]) -> None:
        """Wait for these no more; what came already is handed out all the same."""
        ...

    def ready(self, timeout: float | None = 0.0) -> list[TaskResult[Any]]:
        """All results that are there, waiting up to ``timeout`` seconds for the first.

        Returns an empty list when none came in time, or when nothing is awaited.
        """
        ...

    def wake(self) -> None:
        """Make a `ready` that waits in another thread return."""
        ...

    def __len__(self) -> int:
        """How many are still awaited."""
        ...

    def __iter__(self) -> Iterator[TaskResult[Any]]: ...
    def __next__(self) -> TaskResult[Any]: ...
    def __aiter__(self) -> AsyncIterator[TaskResult[Any]]: ...
    async def __anext__(self) -> TaskResult[Any]: ...


@runtime_checkable
class WaitForCompletion(Protocol):
    """Can wait for results. Woken, not polled. Only DONE and KILLED are results."""

    def wait_for(
        self, ids: Iterable[TaskId], timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> Completions:
        """Results in completion order, each id once.

        `TaskNotFound` at once for an unknown id; iterating raises `WaitTimeout` when ``timeout``
        seconds passed since the call, and `ResultExpired` for one removed meanwhile.

        Args:
            on_progress: called in the thread that waits, four times a second at the most for each task that
                is still awaited, when its run has told something new. What it raises ends that look, and is
                raised there. It needs a backend that can `ShowProgress`.
        """
        ...

    def wait(
        self, task_id: TaskId | str, timeout: float | None = None, *, on_progress: OnProgress | None = None
    ) -> TaskResult[Any]:
        """The result of one task; errors as `wait_for`."""
        ...

    def check_status(self, ids: Iterable[TaskId]) -> dict[TaskId, Status]:
        """The status of each id; unknown ones are left out."""
        ...


@runtime_checkable
class ShowProgress(Protocol):
    """Can show how far runs are that tell it by `WorkerLease.progress`; tasks have `Task.progress`."""

    def running_progress(self, since: int = 0) -> tuple[int, Mapping[TaskId, Progress]]:
        """How far each run is that has told it; at the cost of looking at what runs, not at all tasks.

        Args:
            since: the number of an earlier answer: where nobody told anything since then, there may be none.

        Returns:
            A number, and what was told.
        """
        ...


@runtime_checkable
class EndRun(Protocol):
    """Can end the run of a task in the place of its worker, which is stuck and about to be killed."""

    def end_run(self, task_id: TaskId | str, error: ErrorInfo, *, pid: int, retry_in: float = 0.0) -> bool:
        """RUNNING -> FAILED, due again in ``retry_in`` seconds, or KILLED with no attempt left.

        What the worker itself stores afterwards is `LeaseLost`. It goes on until the caller kills it.

        Args:
            error: what is stored.
            pid: the process that runs it.

        Returns:
            False where that process does not run it, or is storing what it gave. `TaskNotFound`.
        """
        ...


@runtime_checkable
class Vacuum(Protocol):
    """Can remove what is finished."""

    def vacuum(
        self, *, older_than: float = 0, statuses: Iterable[Status] = (Status.DONE, Status.KILLED)
    ) -> int:
        """Remove finished tasks of ``statuses`` that ended ``older_than`` seconds ago or earlier.

        Returns:
            How many. Never a task that is still owed a run.
        """
        ...


class Turn(NamedTuple):
    """What came of asking for a turn.

    Attributes:
        taken: whether there is one.
        wait: seconds until it, or until it is worth asking again.
    """

    taken: bool
    wait: float


class Permit(Protocol):
    """One of so many permits; who has it may run. The death of its process gives it back."""

    def release(self) -> None:
        """Give it back. Does not wait; nothing where it was given back, or in a forked child."""
        ...

    def __enter__(self) -> Permit: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class ShareLimits(Protocol):
    """Can keep limits for all processes that have the queue, whoever of them is killed.

    Each name has limits of its own: 1 to 64 letters, digits, ``-`` and ``_``. Where some use one name with
    other numbers than others, nobody waits for ever, no more than the largest number run at once, and no
    faster than the greatest rate do runs begin.
    """

    def take_turn(self, name: str, per_second: float, burst: int = 1) -> Turn:
        """Ask for a moment to begin at, of which there are only so many; does not wait for it.

        Args:
            per_second: how many there are, in the long run; 0.000001 or more.
            burst: how many there may be at once after a pause.

        Raises:
            ValueError: the name or a number is out of bounds.
        """
        ...

    def take_permit(self, name: str, limit: int, *, waited: float = 0.0) -> Permit | None:
        """One of ``limit`` permits, until it is released or this process dies; None: all are taken now.

        Args:
            limit: 1 to 100,000.
            waited: seconds since the caller asked first. Who asks every 50 ms for more than a second is let
                go before those who came later.

        Raises:
            ValueError: the name or a number is out of bounds.
        """
        ...
