"""Records as tests make them."""

from __future__ import annotations

from typing import Any

from ipcq import TaskId
from ipcq.backends.store.record import Body, Owner, TaskRecord

__all__ = ["OWNER", "record"]

OWNER = Owner("w", 7, 4711)


def record(**fields: Any) -> TaskRecord:
    """A PENDING task, but for what is said."""
    usual: dict[str, Any] = {
        "id": TaskId.new(),
        "created": 1_000_000,
        "run_at": 1_000_000,
        "codec": "json",
        "payload": Body.of(b"[1,2]"),
    }
    return TaskRecord(**{**usual, **fields})
