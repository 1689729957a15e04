"""The progress bar."""

from __future__ import annotations

import io
import sys

import pytest

from ipcq.cli.progress import Bar, Silent, progress
from ipcq.cli.tally import Tally


class Terminal(io.StringIO):
    """A stream on which a person looks."""

    def isatty(self) -> bool:
        return True

    def last(self) -> str:
        """The picture that is seen now."""
        return self.getvalue().rpartition("\r")[2]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def bar() -> tuple[Bar, Tally, Terminal, Clock]:
    """A bar with all that it looks at."""
    tally, terminal, clock = Tally(), Terminal(), Clock()
    return Bar(tally, lambda: 4, terminal, clock), tally, terminal, clock


def test_items_rate_failures_and_workers_are_shown(bar: tuple[Bar, Tally, Terminal, Clock]) -> None:
    """While the number of items is unknown, what is done is counted."""
    shown, tally, terminal, _ = bar
    tally.done, tally.failed = 7, 2
    shown.show(None)
    assert terminal.last().startswith("9 items [")
    assert "items/s, 2 failed, 4 workers]" in terminal.last()
    shown.close()


def test_a_known_number_shows_share_and_time_left(bar: tuple[Bar, Tally, Terminal, Clock]) -> None:
    """Once the source has ended there are a share, a bar and the time left."""
    shown, tally, terminal, clock = bar
    tally.done = 5
    shown.show(None)
    clock.now = 1.0
    shown.show(20)
    assert terminal.last().startswith(" 25% |")
    assert "| 5/20 [" in terminal.last()
    assert " < " in terminal.last()
    shown.close()


def test_what_an_earlier_run_did_is_no_rate() -> None:
    """Items of an interrupted run are a part of the bar, not of the rate nor of the time left."""
    terminal = Terminal()
    shown = Bar(Tally(done=4, failed=1, earlier=5), lambda: 4, terminal)
    shown.show(20)
    assert terminal.last().startswith(" 25% |")
    assert "| 5/20 [" in terminal.last()
    assert " < ?, " in terminal.last()
    shown.close()


def test_it_is_drawn_at_most_ten_times_a_second(bar: tuple[Bar, Tally, Terminal, Clock]) -> None:
    """Looking more often costs nothing."""
    shown, tally, terminal, clock = bar
    shown.show(None)
    before = terminal.getvalue()
    tally.done, clock.now = 1, 0.05
    shown.show(None)
    assert terminal.getvalue() == before
    clock.now = 0.1
    shown.show(None)
    assert terminal.last().startswith("1 items [")
    shown.close()


def test_nothing_of_it_remains(bar: tuple[Bar, Tally, Terminal, Clock]) -> None:
    """Wiped or closed, the line is empty; wiped, it comes again."""
    shown, _, terminal, clock = bar
    shown.show(None)
    shown.clear()
    assert terminal.last().strip() == ""
    clock.now = 1.0
    shown.show(None)
    assert "items" in terminal.last()
    shown.close()
    assert terminal.last().strip() == ""


def test_a_bar_is_for_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No terminal, or ``--quiet``: nothing is drawn."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(progress(Tally(), lambda: 1), Silent)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(progress(Tally(), lambda: 1, quiet=True), Silent)
    bar = progress(Tally(), lambda: 1)
    assert isinstance(bar, Bar)
    bar.close()


def test_the_silent_one_does_nothing() -> None:
    """It can be shown, wiped and closed like a bar."""
    silent = Silent()
    silent.show(3)
    silent.clear()
    silent.close()


def test_lines_are_written_above_the_bar(bar: tuple[Bar, Tally, Terminal, Clock]) -> None:
    """Whole, and it is drawn again below them."""
    line, _, terminal, _ = bar
    line.show(None)
    line.write("a: printed\n")
    assert "\ra: printed\n" in terminal.getvalue()
    assert "0 items" in terminal.last()
    line.close()


def test_without_a_bar_lines_are_written_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """To standard error."""
    Silent().write("a: printed\n")
    assert capsys.readouterr() == ("", "a: printed\n")
