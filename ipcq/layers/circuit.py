"""Whether a service that keeps failing is asked again: a state machine without locks and without a clock."""

from __future__ import annotations

from collections import deque
from enum import Enum

__all__ = ["Circuit", "CircuitState"]


class CircuitState(Enum):
    """CLOSED lets all runs through, OPEN none, HALF_OPEN has let one through to see."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """Opens when too many runs failed, lets one through after a while, and closes if that one works.

    Each run that is let through gets a number; how it ended counts only while the circuit has not changed
    its state since. So a slow run from before it opened says nothing about the time after.

    Args:
        failures: how many open it.
        window: seconds within which they count.
        reset_after: seconds from the opening to the probe. A probe that has not told its end after as many
            more is forgotten, and another one let through: it may never tell.
    """

    def __init__(self, failures: int, window: float, reset_after: float) -> None:
        self.state = CircuitState.CLOSED
        self._failures, self._window, self._reset_after = failures, window, reset_after
        self._failed: deque[float] = deque(maxlen=failures)
        self._until = 0.0  # when the next probe may begin; not for CLOSED
        self._era = 0

    def __repr__(self) -> str:
        return f"<Circuit {self.state.value}: {len(self._failed)} of {self._failures} failures>"

    def enter(self, now: float) -> int | None:
        """The number of a run that is let through, None for one that is not."""
        if self.state is not CircuitState.CLOSED:
            if now < self._until:
                return None
            self._become(CircuitState.HALF_OPEN, now + self._reset_after)
        return self._era

    def remaining(self, now: float) -> float:
        """Seconds until a run may be let through."""
        return 0.0 if self.state is CircuitState.CLOSED else max(0.0, self._until - now)

    def succeeded(self, run: int) -> None:
        """A run worked: if it was the probe, the circuit closes."""
        if run == self._era and self.state is CircuitState.HALF_OPEN:
            self._failed.clear()
            self._become(CircuitState.CLOSED)

    def failed(self, run: int, now: float) -> None:
        """A run failed: as the probe, or as one too many, it opens the circuit."""
        if run != self._era:
            return
        self._failed.append(now)
        many = len(self._failed) == self._failures and now - self._failed[0] < self._window
        if many or self.state is CircuitState.HALF_OPEN:
            self._become(CircuitState.OPEN, now + self._reset_after)

    def abandoned(self, run: int, now: float) -> None:
        """A run was ended before it could tell: if it was the probe, the next run is."""
        if run == self._era and self.state is CircuitState.HALF_OPEN:
            self._become(CircuitState.OPEN, now)

    def _become(self, state: CircuitState, until: float = 0.0) -> None:
        self.state, self._until = state, until
        self._era += 1
