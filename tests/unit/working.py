"""A worker for as many tasks as a test has: one that looks until nothing is there waits half a second."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ipcq import Router, Task, Worker

__all__ = ["work"]


def work(backend: Any, handler: Callable[[Any], Any] | Router | str, count: int = 1) -> None:
    """Run so many tasks."""

    def stop_after_the_last(task: Task[Any], context: Any, call_next: Any) -> Any:
        if context.tasks == count - 1:
            worker.stop()
        return call_next(task, context)

    worker = Worker("w", backend, handler, layers=[stop_after_the_last])
    worker.run()
