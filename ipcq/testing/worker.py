"""A worker for tests of handlers and layers: one task at a time, when it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..backend import FetchById, ResumeAbandoned, Update, WorkerExit
from ..errors import NotSupported
from ..expose import LARGEST_PAGE, Filter, ListTasks
from ..layer import CallNext, Layer
from ..status import Status
from ..task import Task
from ..worker import Worker
from ..worker.handler import Handler
from ..worker.injection import Provide
from ..worker.worker import WorkerBackend
from .clock import FakeClock
from .crashes import CrashPoint, run_and_die

__all__ = ["Executed", "TestWorker"]


@dataclass(frozen=True)
class Executed:
    """How a run ended.

    Attributes:
        task: as it was when it was handed out.
        value: what the handler returned, or the outermost layer made of it.
        error: what was raised; None where nothing was.
        status: of the task afterwards: a failed run may be owed another one. None where the task is gone, or
            its backend does not tell.
    """

    task: Task[Any]
    value: Any
    error: BaseException | None
    status: Status | None

    def unwrap(self) -> Any:
        """The value; raises the error where there is one."""
        if self.error is not None:
            raise self.error
        return self.value


class TestWorker:
    """Runs the tasks of a backend one by one, in the thread of the test, with all that a `Worker` does.

    Args:
        backend, handler, layers, provide, name: as for `Worker`.
        clock: by which time passes for tasks that are due later: `FakeClock.advance` brings them forward.
    """

    __test__ = False  # pytest: no class of tests

    def __init__(
        self,
        backend: WorkerBackend,
        handler: Handler | str,
        *,
        layers: Iterable[Layer] = (),
        provide: Provide | None = None,
        name: str | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self._backend, self._handler, self._layers = backend, handler, tuple(layers)
        self._provide, self._name = provide, name
        self._worker = _OneTask(name, backend, handler, layers=self._layers, provide=provide)
        if clock is not None:
            clock.on_advance(self._bring_forward)

    def __repr__(self) -> str:
        return f"<TestWorker {self._worker.name!r}: {self._worker.tasks} tasks>"

    def execute_next(self) -> Executed | None:
        """Run the next task to its end, its result stored; None where none is due."""
        run = self._worker.execute()
        if run is None:
            return None
        found = self._backend.fetch_by_id(run.task.id) if isinstance(self._backend, FetchById) else None
        return Executed(run.task, run.value, run.error, found.status if found is not None else None)

    def execute_all(self, most: int = 1000) -> list[Executed]:
        """Run what is due until nothing is; ``most`` of it, then it is a RuntimeError.

        A handler may push more, or fail and be run again: that is run, too.
        """
        done: list[Executed] = []
        while (executed := self.execute_next()) is not None:
            done.append(executed)
            if len(done) >= most:
                raise RuntimeError(f"{most} tasks were run, and there are more; does one push itself?")
        return done

    def crash_next(self, point: CrashPoint) -> bool:
        """Run the next task in a process of its own, which is killed (SIGKILL) at that point.

        Afterwards the queue has noticed its death. Handler, layers and ``provide`` must be such as a
        `Monitor` takes.

        Returns:
            Whether there was a task.

        Raises:
            HandlerNotFound: no other process could find the handler.
        """
        pid = run_and_die(point, self._backend, self._handler, self._layers, self._provide)
        if pid and isinstance(self._backend, ResumeAbandoned):
            self._backend.resume_abandoned(exits=[WorkerExit(pid, -9)])
        return pid != 0

    def _bring_forward(self, seconds: float) -> None:
        backend: Any = self._backend
        if not isinstance(backend, ListTasks) or not isinstance(backend, Update):
            raise NotSupported("Update", backend)
        for task in [*_all(backend, Status.PENDING), *_all(backend, Status.FAILED)]:
            task.run_at -= seconds
            backend.update(task)


def _all(backend: ListTasks, status: Status) -> list[Task[Any]]:
    found: list[Task[Any]] = []
    page = 1
    while True:
        items = backend.list_tasks(filter=Filter(status=status, page=page, page_size=LARGEST_PAGE)).items
        found += items
        if len(items) < LARGEST_PAGE:
            return found
        page += 1


@dataclass
class _Run:
    task: Task[Any]
    value: Any = None
    error: BaseException | None = None


class _OneTask(Worker):
    """Runs one task, or none if none is due, and does not wait for one."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.guards = (_Note(self._began),)
        self._begun = False
        self._run: _Run | None = None

    def execute(self) -> _Run | None:
        """Do that."""
        self._begun, self._run = False, None
        self.run(until_empty=True)
        return self._run

    def progressed(self) -> None:
        """Have no second look."""
        if self._begun:
            self.stop()
        self._begun = True

    def _began(self, run: _Run) -> None:
        self._run = run


class _Note:
    """A layer that notes what a run gave; around functions of both kinds."""

    def __init__(self, began: Callable[[_Run], None]) -> None:
        self._began = began

    def __call__(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        run = _Run(task)
        self._began(run)
        try:
            run.value = call_next(task, context)
        except BaseException as error:
            run.error = error
            raise
        return run.value

    async def awaiting(self, task: Task[Any], context: Any, call_next: CallNext) -> Any:
        run = _Run(task)
        self._began(run)
        try:
            run.value = await call_next(task, context)
        except BaseException as error:
            run.error = error
            raise
        return run.value
