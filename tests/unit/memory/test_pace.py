"""How eagerly a waiter looks for results."""

from __future__ import annotations

from ipcq.backends.memory.pace import Pace


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def _held_back(*, since: float, came: int, awaited: int) -> list[int]:
    """The microseconds for which a waiter is held back after a look that found so many."""
    clock = _Clock()
    pace = Pace(clock, clock.sleep)
    clock.now += since
    pace.came(came)
    pace.hold(awaited)
    return [round(seconds * 1e6) for seconds in clock.slept]


def test_one_of_a_few_is_never_held_back() -> None:
    """However fast results come, with few awaited the waiter looks at once."""
    assert _held_back(since=1e-6, came=10, awaited=32) == []


def test_fast_results_are_fetched_by_the_handful() -> None:
    """With many awaited that come 20 us apart, the waiter waits for 32 of them."""
    assert _held_back(since=200e-6, came=10, awaited=1000) == [640]


def test_slow_results_are_fetched_at_once() -> None:
    """Results further apart than a tenth of a millisecond, or none at all, hold nobody back."""
    assert _held_back(since=1.0, came=10, awaited=1000) == []
    assert _held_back(since=1e-6, came=0, awaited=1000) == []


def test_nobody_is_held_back_for_long() -> None:
    """A handful that would take longer than a millisecond is not waited for."""
    assert _held_back(since=99e-6, came=1, awaited=1000) == [1000]


def test_after_a_handful_nobody_is_held_back() -> None:
    """A look that found a handful may have left some: the next one is at once, however fast they come."""
    assert _held_back(since=200e-6, came=64, awaited=1000) == []
