from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ipcq.backends.memory.parts import HeldTask

if TYPE_CHECKING:
    from ipcq.backends.memory import MemoryStorage


@pytest.mark.parametrize("parts", [{}, {"run_timeout": 2.5}, {"metadata": {"a": 1}, "run_timeout": 1.0}])
def test_what_is_read_alone_is_what_is_read_with_all(queue: MemoryStorage, parts: dict[str, Any]) -> None:
    """A task tells the same of itself, whatever was asked for first, and what is set stays."""
    task_id = queue.push([1], **parts)
    task = next(queue.poll("w"))
    assert isinstance(task, HeldTask)
    assert (task.id, task.timeout, task.metadata) == (
        task_id,
        parts.get("run_timeout"),
        parts.get("metadata", {}),
    )
    task.timeout = 7.0
    whole = task.read()
    assert task.lease == whole.lease
    assert (task.attempts, task.queue, task.args) == (0, queue.queue, [1])
    assert (task.id, task.timeout, task.metadata) == (task_id, 7.0, whole.metadata)
