"""What each backend of ours is bound to, and what it is still to get."""

from __future__ import annotations

from collections.abc import Mapping

from ipcq.testing import Check
from ipcq.testing.columns import COLUMNS

__all__ = ["COLUMNS", "COMING", "awaits"]

# Neither there nor refused yet.
COMING: Mapping[str, frozenset[str]] = {}


def awaits(backend: str, check: Check) -> bool:
    """Whether the check is of a capability that the backend is still to get."""
    return check.capability in COMING.get(backend, ())
