"""All that a backend can do, and what one that can do it says of itself."""

from __future__ import annotations

from typing import Protocol

from ..backend import (
    AskWorker,
    Backend,
    Cancel,
    ConfigExt,
    EndRun,
    FetchById,
    RegisterWorker,
    Reschedule,
    ResumeAbandoned,
    ResumeById,
    ShareLimits,
    ShowProgress,
    Update,
    Vacuum,
    WaitForCompletion,
)
from ..expose import Expose, Histograms
from ..sink import WeakTaskSink

__all__ = ["EVERY_CAPABILITY", "Every"]


class Every(
    AskWorker,
    Backend,
    Cancel,
    ConfigExt,
    EndRun,
    Expose,
    FetchById,
    Histograms,
    RegisterWorker,
    Reschedule,
    ResumeAbandoned,
    ResumeById,
    ShareLimits,
    ShowProgress,
    Update,
    Vacuum,
    WaitForCompletion,
    WeakTaskSink,
    Protocol,
):
    """A backend with every capability, in the eyes of a type checker."""


EVERY_CAPABILITY = frozenset(
    each.__name__ for each in Every.__mro__ if each is not Every and each.__module__.startswith("ipcq.")
)
"""Names of the Protocols, as `Backend.capabilities` returns them."""
