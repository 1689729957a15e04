from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ipcq.monitor.restart import RestartPolicy, Restarts

POLICY = RestartPolicy(delay=1, factor=3, max_delay=10, max_failures=4, healthy_after=60)


def _fail(restarts: Restarts, place: int = 0, lived: float = 0.5) -> float | None:
    return restarts.ended(place, ready=False, failed=True, lived=lived)


def test_failures_in_a_row_wait_longer_each_until_it_gives_up() -> None:
    """The first restart is immediate, each later one waits longer up to a limit, then None."""
    restarts = Restarts(POLICY)

    assert [_fail(restarts) for _ in range(5)] == [0, 1, 3, 9, None]
    assert repr(restarts) == "<Restarts: failures in a row by place: {0: 5}>"


def test_the_delay_has_a_limit() -> None:
    """However many failures are allowed, no restart waits longer than max_delay."""
    assert [POLICY.pause(failures) for failures in (5, 6, 10**6)] == [10, 10, 10]


def test_a_worker_killed_while_it_worked_is_no_failure() -> None:
    """Tasks that kill their workers over and over do not make the Monitor give up."""
    restarts = Restarts(POLICY)

    assert {restarts.ended(0, ready=True, failed=False, lived=0.01) for _ in range(100)} == {0.0}


def test_an_error_after_it_was_ready_is_a_failure() -> None:
    """A backend that breaks under each worker is not tried for ever."""
    restarts = Restarts(POLICY)

    assert [restarts.ended(0, ready=True, failed=True, lived=1) for _ in range(5)] == [0, 1, 3, 9, None]


def test_each_place_has_its_own_count() -> None:
    """Many workers that fail together have as many tries each as one alone."""
    restarts = Restarts(POLICY)

    assert [_fail(restarts, place) for _ in range(4) for place in range(8)].count(None) == 0


def test_work_that_is_done_makes_up_for_failures() -> None:
    """When any worker ran a task, or was ready and killed, the count starts again."""
    goods: list[Callable[[Restarts], object]] = [
        lambda restarts: restarts.worked(),
        lambda restarts: restarts.ended(1, ready=True, failed=False, lived=1),
    ]
    for good in goods:
        restarts = Restarts(POLICY)
        for _ in range(4):
            _fail(restarts)
        good(restarts)

        assert _fail(restarts) == 0


def test_a_long_life_makes_up_for_failures() -> None:
    """A worker that fails after it lived long is the first failure again."""
    restarts = Restarts(POLICY)
    for _ in range(4):
        _fail(restarts)

    assert _fail(restarts, lived=60) == 0
    assert _fail(restarts) == 1


@pytest.mark.parametrize(
    "options", [{"delay": -1}, {"factor": 0.5}, {"max_failures": -1}, {"delay": float("nan")}]
)
def test_numbers_out_of_bounds_are_refused(options: dict[str, Any]) -> None:
    """The message names the setting and its bound."""
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} must be [01] or more, not"):
        RestartPolicy(**options)
