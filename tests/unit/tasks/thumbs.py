"""Functions of one queue, as a user's module has them."""

from __future__ import annotations

import os

from ipcq import Abort, Attempt, TaskId, TaskQueue, WorkerContext

thumbs = TaskQueue("memory://thumbs")


class Store:
    """What workers provide."""

    name = "store"


@thumbs.task
def make(path: str, width: int = 128) -> str:
    """What was asked for."""
    return f"{path} at {width}"


@thumbs.task(max_attempts=3, name="keep")
def save(path: str, *, run: Attempt = Attempt(0), store: Store | None = None) -> str:  # noqa: B008 - an int
    """What the worker gave beside the path; the first run fails."""
    if run == 1:
        raise OSError("not yet")
    return f"{path} in {store.name if store else 'nothing'}, run {int(run)}"


@thumbs.task
def who(task_id: TaskId | None = None, context: WorkerContext | None = None) -> tuple[str, str, int]:
    """What runs it."""
    return str(task_id), context.worker if context else "", os.getpid()


@thumbs.task
def spoil(text: str) -> None:
    """Fail in the function, not at its door."""
    raise TypeError(f"bad {text}")


@thumbs.task
def chain(path: str) -> str:
    """Push another one, from a worker."""
    return str(make.push(path).id)


@thumbs.task
def give_up() -> None:
    """End for good."""
    raise Abort("no use")
