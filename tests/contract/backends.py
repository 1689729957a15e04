"""What each backend of ours is bound to, and what it is still to get."""

from __future__ import annotations

from collections.abc import Mapping

from ipcq.testing import Check
from ipcq.testing.columns import COLUMNS, custom, json, memory, piped

__all__ = ["BOUND", "COLUMNS", "COMING", "awaits"]

# Beside the columns of the table, what is to do the same by another way.
BOUND = {
    **COLUMNS,
    "Memory by tcp": piped(memory),
    "Json by tcp": piped(json),
    "Custom by tcp": piped(custom),
}

# Neither there nor refused yet.
COMING: Mapping[str, frozenset[str]] = {}


def awaits(backend: str, check: Check) -> bool:
    """Whether the check is of a capability that the backend is still to get."""
    return check.capability in COMING.get(backend, ())
