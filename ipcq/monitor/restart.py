"""When a worker that ended is started again: decisions only, nothing is done here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RestartPolicy", "Restarts"]

_LARGEST_EXPONENT = 64  # beyond, a float could overflow; max_delay was passed long before


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How patient a Monitor is with workers that do not get going.

    A *failure* is a worker that ended before it was ready to take tasks, or by an error of its
    own. A worker killed while it ran tasks is none, however often: that is charged to the tasks,
    which have a limit themselves (``max_deaths``).

    Attributes:
        delay: seconds before the second restart in a row; the first one is immediate.
        factor: by which the delay grows from then on.
        max_delay: seconds that it does not exceed.
        max_failures: how many failures in a row one worker may have; one more, and the Monitor
            gives up.
        healthy_after: seconds that a worker must have lived for what was before to be forgotten.

    Raises:
        ValueError: a number is out of bounds.
    """

    delay: float = 0.1
    factor: float = 2.0
    max_delay: float = 5.0
    max_failures: int = 5
    healthy_after: float = 10.0

    def __post_init__(self) -> None:
        for name, least in (
            ("delay", 0), ("factor", 1), ("max_delay", 0), ("max_failures", 0), ("healthy_after", 0),
        ):  # fmt: skip
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be {least} or more, not {getattr(self, name)}")

    def pause(self, failures: int) -> float:
        """Seconds to wait before the next start after so many failures in a row."""
        if failures <= 1:
            return 0.0
        return min(self.max_delay, self.delay * self.factor ** min(failures - 2, _LARGEST_EXPONENT))


class Restarts:
    """Counts the failures in a row of each place for a worker."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._failures: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Restarts: failures in a row by place: {self._failures}>"

    def worked(self) -> None:
        """A worker ran a task to its end: whatever ailed the others was not lasting."""
        self._failures.clear()

    def ended(self, place: int, *, ready: bool, failed: bool, lived: float) -> float | None:
        """What to do about a worker that ended.

        Args:
            ready: it had been ready to take tasks.
            failed: it ended by an error of its own.
            lived: seconds from its start to its end.

        Returns:
            Seconds until it is to be started again; None to give up.
        """
        if ready and not failed:
            self._failures.clear()
            return 0.0
        if lived >= self._policy.healthy_after:
            self._failures.pop(place, None)
        failures = self._failures[place] = self._failures.get(place, 0) + 1
        return None if failures > self._policy.max_failures else self._policy.pause(failures)
