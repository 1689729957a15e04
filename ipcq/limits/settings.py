"""How much a worker may have."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["TICK", "Limits"]

TICK = 0.5  # seconds between two looks at a worker, where nothing is late before


class Limits(NamedTuple):
    """How much each worker process of a Monitor may have; None for no limit.

    Attributes:
        timeout: seconds that one run may take; a task's own ``run_timeout`` counts where it is shorter.
        memory: bytes of resident memory above which a run is ended, and its process with it.
        recycle_memory: bytes above which a process ends after its present task; another takes its place.
        recycle_idle: seconds without a task after which a process that has run one is replaced, which frees
            what it still holds.
        grace: seconds that a run has from SIGTERM on to end by itself; then its process is killed.
    """

    timeout: float | None = None
    memory: int | None = None
    recycle_memory: int | None = None
    recycle_idle: float | None = None
    grace: float = 0.3

    def checked(self) -> Limits:
        """The same; ValueError where one is out of bounds."""
        for name in ("timeout", "memory", "recycle_memory", "recycle_idle"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e18:
                raise ValueError(f"{name} must be above 0, or None for no limit; not {value!r}")
        if not 0 <= self.grace < 1e9:
            raise ValueError(f"grace must be seconds, 0 or more; not {self.grace!r}")
        return self

    @property
    def measures(self) -> bool:
        """Whether memory matters."""
        return self.memory is not None or self.recycle_memory is not None

    @property
    def always(self) -> bool:
        """Whether each run has to be told to the Monitor, with a timeout or without."""
        return self.measures or self.recycle_idle is not None
