"""How often, and how many at once: numbers alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipcq.pacing import NO_CLAIM, Claim, Gcra, check_limit, check_name, check_waited


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 5),
    gaps=st.lists(st.floats(0, 20), min_size=1, max_size=30),
)
def test_no_stretch_of_time_has_too_many(rate: float, burst: int, gaps: list[float]) -> None:
    """Between any two there are as many as the rate allows, and the burst; none waits in vain."""
    gcra, now, planned, begun = Gcra(rate, burst), 0, 0, list[float]()
    for gap in gaps:
        now += round(gap * 1e9)
        while not (plan := gcra.turn(planned, now)).taken:
            assert plan.planned == planned
            now += plan.wait
        planned = plan.planned
        now += plan.wait
        begun.append(now / 1e9)
        before = begun[max(0, len(begun) - 1 - burst)]
        assert plan.wait == 0 or begun[-1] - before <= burst / rate + 1e-6
    for first, start in enumerate(begun):
        for last in range(first, len(begun)):
            assert last - first + 1 <= burst + (begun[last] - start) * rate + 1e-6


@pytest.mark.parametrize("strange", [10**18, -(10**18)])
def test_a_clock_that_began_anew(strange: int) -> None:
    """After a reboot what was remembered is of no use, and keeps nobody waiting."""
    assert Gcra(1, 3).turn(strange, now=5) == (True, 0, 5 + 10**9)


@pytest.mark.parametrize("name", ["a", "A-b_9", "x" * 64])
def test_names(name: str) -> None:
    """They can be part of the name of a file."""
    assert check_name(name) == name


@pytest.mark.parametrize("name", [None, b"a", "", ".", "a/b", "a.b", "x" * 65, "ä", "a\n"])
def test_what_is_no_name(name: Any) -> None:
    """It is refused, and shown."""
    with pytest.raises(ValueError, match="a limit's name is"):
        check_name(name)


@pytest.mark.parametrize("limit", [0, -1, 100_001, 1.5, "2", None])
def test_what_is_no_limit(limit: Any) -> None:
    """It is refused, and shown."""
    with pytest.raises(ValueError, match="limit is a whole number from 1 to 100000"):
        check_limit(limit)


@pytest.mark.parametrize("waited", [-1, float("nan"), float("inf"), 2e9])
def test_what_is_no_wait(waited: float) -> None:
    """It is refused, and shown."""
    with pytest.raises(ValueError, match="waited is seconds"):
        check_waited(waited)


SECOND = 10**9


@pytest.mark.parametrize(
    ("since", "now", "waits"),
    [
        (20 * SECOND, 12 * SECOND, True),
        (20 * SECOND, 12 * SECOND + 149_000_000, True),
        (20 * SECOND, 12 * SECOND + 150_000_000, False),
        (20 * SECOND, 11 * SECOND, False),
        (10 * SECOND, 12 * SECOND, False),
        (9 * SECOND, 12 * SECOND, False),
    ],
)
def test_who_is_ahead(since: int, now: int, waits: bool) -> None:
    """Who came first, if he looked a moment ago; not one who came in the same moment."""
    assert Claim(10 * SECOND, 12 * SECOND).is_ahead_of(since, now) is waits


def test_only_who_waited_for_a_second_is_ahead() -> None:
    """Before that nobody stays behind him, and garbage is nobody."""
    assert not Claim(11 * SECOND + 1, 12 * SECOND).is_ahead_of(20 * SECOND, 12 * SECOND)
    assert not NO_CLAIM.is_ahead_of(20 * SECOND, 12 * SECOND)
    assert not Claim(2**63 - 1, -(2**63)).is_ahead_of(20 * SECOND, 12 * SECOND)
