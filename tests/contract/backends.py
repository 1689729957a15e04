"""The backends that the contract is bound to; a new one is a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count

from ipcq import Backend, MemoryStorage
from ipcq.testing import Check

Factory = Callable[[], Backend]

_CAPACITY = 64  # some checks fill a queue


def memory() -> Factory:
    """New queues in this test's directory, which is removed with them."""
    numbers = count()
    return lambda: MemoryStorage(f"queue-{next(numbers)}", capacity=_CAPACITY)


def awaits(backend: str, check: Check) -> bool:
    """Whether the check is of a capability that the backend is still to get."""
    return check.capability in _COMING.get(backend, ())


# Neither there nor refused yet.
_COMING: Mapping[str, frozenset[str]] = {
    "Memory": frozenset(
        {"Expose", "ListAllTasks", "Metrics", "Reschedule", "ResumeById", "Update", "WeakTaskSink"}
    )
}

BACKENDS: Mapping[str, Callable[[], Factory]] = {
    "Memory": memory,
}
