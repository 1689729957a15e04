"""The contract of a layer: a plain callable around the handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .task import Task

__all__ = ["CallNext", "Layer"]

CallNext = Callable[[Task[Any], Any], Any]
"""``call_next(task, context)`` runs what is inside and returns what the handler returned."""

Layer = Callable[[Task[Any], Any, CallNext], Any]
"""``layer(task, context, call_next)`` returns what ``call_next`` gave, or something else."""
