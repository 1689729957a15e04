"""What is to be done about a worker, from what is seen of it."""

from __future__ import annotations

from typing import Any

import pytest

from ipcq import Limits
from ipcq.limits.judging import Reason, Verdict, judge
from ipcq.limits.stacks import innermost_first

SEEN: dict[str, Any] = {"timeout": 2.0, "late": False, "running": False, "idle": None, "rss": 100}
ALL = Limits(memory=1000, recycle_memory=500, recycle_idle=5.0)


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ({}, None),
        ({"running": True}, None),
        ({"running": True, "late": True}, Verdict(Reason.TIME, 2.0, True)),
        ({"running": True, "late": True, "rss": 2000}, Verdict(Reason.TIME, 2.0, True)),
        ({"running": True, "rss": 2000}, Verdict(Reason.MEMORY, 2000, True)),
        ({"idle": 1.0, "rss": 2000}, Verdict(Reason.MEMORY, 2000, False)),
        ({"idle": 1.0, "rss": 600}, Verdict(Reason.MEMORY, 600, False)),
        ({"idle": 1.0, "running": True, "rss": 600}, Verdict(Reason.MEMORY, 600, False)),
        ({"rss": 2000}, None),  # it has done nothing yet, and another one would be as large
        ({"idle": 6.0}, Verdict(Reason.IDLE, 6.0, False)),
        ({"idle": 6.0, "running": True}, None),
    ],
)
def test_the_first_limit_that_is_exceeded_decides(seen: dict[str, Any], verdict: Verdict | None) -> None:
    """What ends a run comes before what waits for its end."""
    assert judge(ALL, **{**SEEN, **seen}) == verdict


def test_without_limits_only_time_matters() -> None:
    """A task's own timeout needs no setting."""
    assert judge(Limits(), **{**SEEN, "idle": 1e9, "rss": 1 << 50}) is None
    assert judge(Limits(), **{**SEEN, "running": True, "late": True}) is not None


@pytest.mark.parametrize(
    "wrong", [{"timeout": 0}, {"memory": -1}, {"recycle_idle": float("nan")}, {"grace": -1}]
)
def test_limits_are_above_zero(wrong: dict[str, Any]) -> None:
    """Anything else is a ValueError that names it."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong).checked()


def test_the_running_thread_comes_first() -> None:
    """What faulthandler wrote is reordered, and cut at its end."""
    text = "Thread 1 (most recent call first):\n  a\n\nCurrent thread 2 (most recent call first):\n  b\n"
    assert innermost_first(text).startswith("Current thread 2")
    assert "Thread 1" in innermost_first(text)
    assert innermost_first("") == ""
    assert len(innermost_first("Current thread" + "x" * 100_000)) == 3000
