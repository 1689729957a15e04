"""How far a call of a named function is."""

from __future__ import annotations

from typing import Any

from ipcq import MemoryStorage, Progress, TaskHandle, TaskId, TaskQueue, Worker, WorkerContext

queue = TaskQueue("memory://far")


@queue.task
def climb(steps: int, context: WorkerContext | None = None) -> list[Progress | None]:
    """Tell each step; what the handle shows after it."""
    seen: list[Progress | None] = []
    for step in range(steps):
        assert context is not None
        context.progress(step + 1, steps)
        assert context.task is not None
        found = queue.backend.fetch_by_id(context.task.id)
        seen.append(found.progress if found is not None else None)
    return seen


def test_a_handle_shows_it(private_directory: object) -> None:
    """While it runs; and who waits by it may hear of it."""
    with queue:
        handle = climb.push(2)
        assert _progress(handle) is None
        assert isinstance(queue.backend, MemoryStorage)
        with queue.backend.register_worker("w") as lease:
            task = next(queue.backend.poll(lease))
            assert task is not None
            lease.progress(task, Progress(1, 2))
            assert _progress(handle) == Progress(1, 2)
            told: list[tuple[TaskId, Progress]] = []

            def end(task_id: TaskId, progress: Progress) -> None:
                told.append((task_id, progress))
                lease.finish(task, ["end"])

            assert handle.wait(20, on_progress=end) == ["end"]  # type: ignore[comparison-overlap] # of nobody
            assert told == [(handle.id, Progress(1, 2))]
            assert _progress(handle) is None


def _progress(handle: TaskHandle[Any]) -> Progress | None:
    return handle.progress


def test_a_function_tells_it(private_directory: object) -> None:
    """By the context that its worker gives it."""
    with queue:
        handle = climb.push(3)
        Worker("w", queue.backend, queue).run(until_empty=True)
        assert handle.wait(20) == [[1, 3], [2, 3], [3, 3]]  # type: ignore[comparison-overlap] # tuples are lists
