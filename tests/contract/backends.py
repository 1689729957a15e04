"""What each backend of ours is bound to, and what it is still to get."""

from __future__ import annotations

from collections.abc import Mapping

from ipcq.testing import Check
from ipcq.testing.columns import COLUMNS, pipe_over_tcp

__all__ = ["BOUND", "COLUMNS", "COMING", "awaits"]

# Beside the columns of the table, what is to do the same by another way.
BOUND = {**COLUMNS, "Pipe over tcp": pipe_over_tcp}

# Neither there nor refused yet.
COMING: Mapping[str, frozenset[str]] = {}


def awaits(backend: str, check: Check) -> bool:
    """Whether the check is of a capability that the backend is still to get."""
    return check.capability in COMING.get(backend, ())
