"""How often something may begin, and how many at once: the numbers of limits, without a clock or a place."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["NO_CLAIM", "Claim", "Gcra", "Plan", "check_limit", "check_name", "check_waited"]

_NEAR = 50_000_000
"""Nanoseconds: moments that are no farther away are given out ahead, so that nobody's being late counts."""
_PATIENT = 1_000_000_000
"""Nanoseconds that somebody waits before others wait for him: short runs are not slowed down by a line."""
_FRESH = 150_000_000
"""Nanoseconds that a claim counts: who waits looks every 50 ms, unless he is dead or stopped."""
_SAME = 5_000_000
"""Nanoseconds: two who came so close to each other go in any order."""
_MOST = 100_000
_LONGEST_WAIT = 1e9  # seconds
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


class Plan(NamedTuple):
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

    Raises:
        ValueError: a number is out of bounds.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        if not (1e-6 <= per_second < float("inf") and 1 <= burst <= 1e9):
            raise ValueError(
                "per_second is 0.000001 or more, burst is 1 or more; not"
                f" per_second={per_second!r}, burst={burst!r}"
            )
        self._interval = max(1, round(1e9 / per_second))
        self._early = round((burst - 1) * self._interval)

    def turn(self, planned: int, now: int) -> Plan:
        """Ask for the next moment.

        Args:
            planned: what was remembered; anything, where nothing was or the clock began anew.
        """
        if planned > now + self._early + _NEAR + self._interval:
            planned = now  # farther than it is ever set: of a clock before a reboot, or of another rate
        wait = max(0, planned - self._early - now)
        if wait > _NEAR:
            return Plan(False, wait - _NEAR, planned)
        return Plan(True, wait, max(planned, now) + self._interval)


class Claim(NamedTuple):
    """Of those who wait for a permit, the one who came first; nanoseconds of one clock.

    Who finds no permit looks again and again, and would lose against one who just gave his back and wants the
    next. So who waited for a second claims to be the first, at each look, and others stay behind him.

    Attributes:
        since: when he came.
        seen: when he looked last.
    """

    since: int
    seen: int

    def is_ahead_of(self, since: int, now: int) -> bool:
        """Whether one who came then has to let him go first."""
        counts = 0 <= now - self.seen < _FRESH and self.may_be_made()
        return counts and since > self.since + _SAME

    def may_be_made(self) -> bool:
        """Whether he has waited for so long."""
        return self.seen - self.since >= _PATIENT

    def is_of(self, since: int) -> bool:
        """Whether it is that of one who came then, or before."""
        return self.since >= since - _SAME


NO_CLAIM = Claim(0, 0)


def check_name(name: str) -> str:
    """The name of a limit; ValueError where it cannot be one."""
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        raise ValueError(f"a limit's name is 1 to 64 letters, digits, - and _; not {name!r}")
    return name


def check_limit(limit: int) -> int:
    """How many may run at once; ValueError where that is out of bounds."""
    if not (isinstance(limit, int) and 1 <= limit <= _MOST):
        raise ValueError(f"limit is a whole number from 1 to {_MOST}; not {limit!r}")
    return limit


def check_waited(waited: float) -> int:
    """How long somebody waited, in nanoseconds; ValueError where those are no seconds."""
    if not 0 <= waited <= _LONGEST_WAIT:
        raise ValueError(f"waited is seconds, from 0 to {_LONGEST_WAIT:.0e}; not {waited!r}")
    return round(waited * 1e9)
