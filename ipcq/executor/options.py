"""How a call is to be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..backends.parts import read_parts

__all__ = ["Options"]


class Options(NamedTuple):
    """How a call is to be run.

    Attributes:
        priority: from -7 to 8, the highest first.
        timeout: seconds that it may run; None for no limit.
        max_deaths: how often a process may die running it before it fails.
        metadata: what travels with it, such as where its log records go.
    """

    priority: int = 0
    timeout: float | None = None
    max_deaths: int = 2
    metadata: Mapping[str, Any] | None = None

    def parts(self) -> dict[str, Any]:
        """The same as a push takes it, those that it would not take by itself."""
        if self == _DEFAULT:
            return {}
        parts = {"priority": self.priority, "run_timeout": self.timeout, "max_deaths": self.max_deaths}
        return parts if self.metadata is None else {**parts, "metadata": self.metadata}

    def checked(self) -> Options:
        """The same; raises ValueError where one is out of bounds."""
        read_parts(**self.parts())
        return self


_DEFAULT = Options()
