"""When the next run may begin, at a given rate: the generic cell rate algorithm, without a clock."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Gcra", "Turn"]

_NEAR = 50_000_000
"""Nanoseconds: moments that are no farther away are given out ahead, so that nobody's being late counts."""


class Turn(NamedTuple):
    """What came of asking for a moment; all in nanoseconds.

    Attributes:
        taken: whether there is one.
        wait: until it, or until it is worth asking again.
        planned: what is to be remembered for whoever asks next.
    """

    taken: bool
    wait: int
    planned: int


class Gcra:
    """Gives out moments, ``per_second`` of them in the long run, up to ``burst`` of them at once.

    One number is all that is remembered: when the next moment would be, did none come early. See ITU-T I.371,
    "generic cell rate algorithm", virtual scheduling. Who dies with a moment costs the others that one.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = max(1, round(1e9 / per_second))
        self._early = (burst - 1) * self._interval

    def turn(self, planned: int, now: int) -> Turn:
        """Ask for the next moment.

        Args:
            planned: what was remembered; anything, where nothing was or the clock began anew.
        """
        if planned > now + self._early + _NEAR + self._interval:
            planned = now  # farther than it is ever set: of a clock before a reboot, or of another rate
        wait = max(0, planned - self._early - now)
        if wait > _NEAR:
            return Turn(False, wait - _NEAR, planned)
        return Turn(True, wait, max(planned, now) + self._interval)
