"""When the next run may begin, at a given rate: the generic cell rate algorithm, without a clock."""

from __future__ import annotations

__all__ = ["Gcra"]


class Gcra:
    """Hands out moments, ``per_second`` of them in the long run, up to ``burst`` of them at once.

    One number is all that it keeps: when the last moment would have been, had none come early. See ITU-T
    I.371, "generic cell rate algorithm", virtual scheduling.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = 1 / per_second
        self._early = (burst - 1) * self._interval
        self._planned: float | None = None

    def reserve(self, now: float) -> float:
        """Take the next moment; seconds from ``now`` to it."""
        planned = now if self._planned is None else max(now, self._planned)
        self._planned = planned + self._interval
        return max(0.0, planned - self._early - now)
