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


def test_one_of_a_few_is_never_held_back() -> None:
    """However fast results come, with few awaited the waiter looks at once."""
    clock = _Clock()
    pace = Pace(clock, clock.sleep)
    clock.now += 1e-6
    pace.came(10)

    pace.hold(32)

    assert clock.slept == []


def test_fast_results_are_fetched_by_the_handful() -> None:
    """With many awaited that come 20 us apart, the waiter waits for 32 of them."""
    clock = _Clock()
    pace = Pace(clock, clock.sleep)
    clock.now += 200e-6
    pace.came(10)

    pace.hold(1000)

    assert [round(seconds * 1e6) for seconds in clock.slept] == [640]


def test_slow_results_are_fetched_at_once() -> None:
    """Results further apart than a tenth of a millisecond, or none at all, hold nobody back."""
    clock = _Clock()
    pace = Pace(clock, clock.sleep)
    clock.now += 1.0
    pace.came(10)
    pace.hold(1000)
    pace.came(0)
    pace.hold(1000)

    assert clock.slept == []


def test_nobody_is_held_back_for_long() -> None:
    """A handful that would take longer than a millisecond is not waited for."""
    clock = _Clock()
    pace = Pace(clock, clock.sleep)
    clock.now += 99e-6
    pace.came(1)

    pace.hold(1000)

    assert clock.slept == [1e-3]


def test_after_a_handful_nobody_is_held_back() -> None:
    """A look that found a handful may have left some: the next one is at once, however fast they come."""
    clock = _Clock()
    pace = Pace(clock, clock.sleep)
    clock.now += 200e-6
    pace.came(64)

    pace.hold(1000)

    assert clock.slept == []
