"""What checks do with a backend, in this process or in another: functions that can be sent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from typing import Any

from ..backend import Completions, WorkerRequest
from ..expose import Filter, Page
from ..layer import Layer
from ..result import ErrorInfo, TaskResult
from ..status import Status
from ..task import Progress, Task, TaskId
from ..worker import Router, Worker
from .expecting import PATIENCE, expect_some
from .stage import Hands, Seen, Stage

__all__ = [
    "BOOM",
    "ask",
    "begin_turns",
    "collect",
    "enter",
    "fail",
    "finish",
    "fork_and_hold",
    "give_back",
    "hands",
    "hold",
    "last_heartbeat",
    "leave",
    "let_go",
    "look",
    "new_ids",
    "postpone",
    "push_until_killed",
    "push_weakly",
    "run_worker",
    "seen",
    "status_of",
    "take",
    "tell",
    "total",
    "work",
    "work_all",
]

_LOOK = 0.005  # seconds between two looks

BOOM = ErrorInfo("ValueError", "boom", "Traceback: boom")


def ask(stage: Stage, call: str, *args: Any, **options: Any) -> Any:
    """Call a method of the backend; tasks in its answer as `Seen`."""
    return portable(getattr(stage.backend, call)(*args, **options))


def portable(answer: Any) -> Any:
    """The same answer, without anything that belongs to this process."""
    if isinstance(answer, Task):
        return Seen.of(answer)
    if isinstance(answer, Page):
        return Page([portable(item) for item in answer.items], answer.page, answer.page_size, answer.total)
    return answer


# --- a worker, one step at a time -----------------------------------------------------------------


def enter(stage: Stage, worker: str = "worker", *, prefetch: int = 1) -> None:
    """Register a worker, and have it ready to take tasks."""
    hands(stage, worker, prefetch=prefetch)


def hands(stage: Stage, worker: str = "worker", *, prefetch: int = 1) -> Hands:
    """The worker of that name here, registered when it is new; only in this process."""
    if worker not in stage.workers:
        stage.workers[worker] = Hands(stage.backend, worker, prefetch)
    return stage.workers[worker]


def take(stage: Stage, worker: str = "worker", *, prefetch: int = 1) -> Seen:
    """Have a worker take its next task, which is RUNNING then, and keep it."""
    owner = hands(stage, worker, prefetch=prefetch)
    task = owner.take()
    stage.running[task.id] = owner, task
    return Seen.of(task)


def look(stage: Stage, worker: str = "worker") -> Seen | None:
    """What one look for a task finds; None for nothing."""
    task = next(hands(stage, worker).stream)
    return None if task is None else Seen.of(task)


def finish(stage: Stage, task_id: TaskId, value: Any = None) -> None:
    """End a run with a value."""
    owner, task = stage.running[task_id]
    owner.lease.finish(task, value)


def fail(stage: Stage, task_id: TaskId, *, retry_in: float = 0.0, final: bool = False) -> Status:
    """End a run with an error."""
    owner, task = stage.running[task_id]
    return owner.lease.fail(task, BOOM, retry_in=retry_in, final=final)


def give_back(stage: Stage, task_id: TaskId) -> bool:
    """Give a task back."""
    owner, task = stage.running[task_id]
    return owner.lease.give_back(task)


def postpone(stage: Stage, task_id: TaskId, seconds: float) -> bool:
    """Put a task off that a worker here has."""
    owner, task = stage.running[task_id]
    return owner.lease.postpone(task, seconds)


def tell(stage: Stage, task_id: TaskId, done: float, total: float | None = None) -> None:
    """Tell how far a run is, and whatever of that waits for the heartbeat."""
    owner, task = stage.running[task_id]
    telling: Any = owner.lease  # of a backend that can show it
    telling.progress(task, Progress.of(done, total))
    telling.heartbeat()


def leave(stage: Stage, worker: str = "worker") -> None:
    """Have a worker leave in good order."""
    stage.workers.pop(worker).leave()


def work(stage: Stage, count: int, worker: str = "worker") -> list[Any]:
    """Run ``count`` tasks to DONE, their value what they were given; their arguments in order."""
    arguments = []
    for _ in range(count):
        task = take(stage, worker)
        arguments.append(task.args)
        finish(stage, task.id, task.args)
    return arguments


def work_all(stage: Stage, worker: str) -> list[Any]:
    """Run tasks to DONE until a look finds none; their arguments in order."""
    arguments: list[Any] = []
    owner = hands(stage, worker)
    while (task := next(owner.stream)) is not None:
        arguments.append(task.args)
        owner.lease.finish(task, task.args)
    return arguments


def run_worker(stage: Stage, handler: str | Router, *layers: Layer) -> int:
    """Run a whole `Worker` until the queue is empty; how many tasks it ran."""
    worker = Worker("whole", stage.backend, handler, layers=layers)
    worker.run(until_empty=True)
    return worker.tasks


# --- looking --------------------------------------------------------------------------------------


def seen(stage: Stage, task_id: TaskId) -> Seen:
    """The task, which must be there."""
    return Seen.of(expect_some(stage.backend.fetch_by_id(task_id), f"task {task_id} is gone"))


def status_of(stage: Stage, task_id: TaskId) -> Status:
    """The status of a task, which must be there."""
    return seen(stage, task_id).status


def total(stage: Stage, status: Status | None = None) -> int:
    """How many tasks the queue lists, of one status or of all."""
    return stage.backend.list_tasks(filter=Filter(status=status)).total


def collect(stage: Stage, ids: Iterable[TaskId], timeout: float = PATIENCE) -> list[TaskResult[Any]]:
    """The results of all these, in the order in which they came."""
    completions: Completions = stage.backend.wait_for(ids, timeout)
    return list(completions)


def request_of(stage: Stage, worker: str) -> WorkerRequest:
    """What a worker here hears with its next heartbeat."""
    lease = hands(stage, worker).lease
    lease.heartbeat()
    return lease.request


def last_heartbeat(stage: Stage, worker: str) -> float:
    """When that worker was heard of; 0 where there is none."""
    rows = stage.backend.list_workers()
    return max((row.last_heartbeat for row in rows if row.id == worker), default=0.0)


def new_ids(_stage: Stage, count: int) -> list[TaskId]:
    """Ids made here and, by a fork, in a child of this process at the same time."""
    incoming, outgoing = os.pipe()
    child = os.fork()
    ids = [TaskId.new() for _ in range(count)]
    if not child:
        try:
            os.write(outgoing, b"".join(task_id.to_bytes(16, "big") for task_id in ids))
        finally:
            os._exit(0)
    os.close(outgoing)
    with open(incoming, "rb") as file:
        told = file.read()
    os.waitpid(child, 0)
    return ids + [TaskId(int.from_bytes(told[n : n + 16], "big")) for n in range(0, len(told), 16)]


def push_weakly(stage: Stage, obj: Any, *type_: str) -> TaskId:
    """Push an object of any type."""
    return stage.backend.weak().push(obj, *type_)


def push_until_killed(stage: Stage) -> None:
    """Push numbers, one after the other, for as long as there is room and time."""
    until = time.monotonic() + PATIENCE
    number = 0
    while time.monotonic() < until:
        stage.backend.push(number, timeout=PATIENCE)
        number += 1


# --- limits ---------------------------------------------------------------------------------------


def begin_turns(stage: Stage, name: str, per_second: float, burst: int, most: int) -> int:
    """Ask for turns; how many of ``most`` there were."""
    return sum(stage.backend.take_turn(name, per_second, burst).taken for _ in range(most))


def hold(stage: Stage, name: str, limit: int, *, patience: float = PATIENCE) -> bool:
    """Take a permit and keep it; whether there was one in so many seconds."""
    until = time.monotonic() + patience
    while (permit := stage.backend.take_permit(name, limit)) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK)
    stage.permits.append(permit)
    return True


def let_go(stage: Stage) -> None:
    """Give all permits back."""
    while stage.permits:
        stage.permits.pop().release()


def fork_and_hold(stage: Stage, name: str, limit: int) -> int:
    """Take a permit and fork a child, which tries to give it back and then waits to be killed; its pid."""
    hold(stage, name, limit)
    incoming, outgoing = os.pipe()
    child = os.fork()
    if not child:
        try:
            let_go(stage)
            os.write(outgoing, b".")
            threading.Event().wait()
        finally:
            os._exit(0)
    os.close(outgoing)
    with open(incoming, "rb", buffering=0) as told:
        told.read(1)
    return child
