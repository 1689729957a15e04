"""Counting, and the one line of summary."""

from __future__ import annotations

from ipcq import ErrorInfo
from ipcq.cli.tally import Tally


def test_the_summary_is_one_line() -> None:
    """It has what was done, what failed, the time and the rate."""
    assert Tally(done=12_345).summary(10) == "12,345 done, 0 failed, 10.0 s, 1,234 items/s"


def test_a_low_rate_is_left_out() -> None:
    """Below ten items a second the time says enough."""
    assert Tally(done=3).summary(2) == "3 done, 0 failed, 2.0 s"
    assert Tally(done=3).summary(0) == "3 done, 0 failed, 0.0 s"


def test_the_first_failure_is_shown_on_one_line() -> None:
    """People see an example at once; a long or broken message is cut and joined."""
    tally = Tally()
    tally.fail(b"a.jpg", ErrorInfo("ValueError", "no\n  picture"))
    tally.fail(b"b.jpg", ErrorInfo("KeyError", "never shown"))
    assert tally.failed == tally.settled == 2
    assert tally.summary(1) == "0 done, 2 failed, 1.0 s; first failure: 'a.jpg': ValueError: no picture"
    tally = Tally()
    tally.fail(b"a", ErrorInfo("ValueError", "x" * 500))
    assert len(tally.example) == 160
    assert tally.example.endswith("xx...")


def test_an_interrupted_run_says_so() -> None:
    """What was taken and has no line is counted as unfinished."""
    assert Tally(done=1).summary(1, unfinished=4, interrupted=True) == (
        "interrupted: 1 done, 0 failed, 4 unfinished, 1.0 s"
    )


def test_no_items_are_said_to_be_none() -> None:
    """A pattern that matches nothing does not look like work done."""
    assert Tally().summary(1) == "there were no items"


def test_a_resumed_run_tells_what_others_did() -> None:
    """The numbers are of all runs together, the rate of this one."""
    assert Tally(done=1_500, failed=2, earlier=1_402).summary(10) == (
        "1,500 done, 2 failed, 1,402 of them by earlier runs, 10.0 s, 10 items/s"
    )
