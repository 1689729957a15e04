"""What a person at a terminal sees of ``ipcq map``."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .command import call, end, start


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The person's end of a terminal, and the command's."""
    ends = pty.openpty()
    yield ends
    for descriptor in ends:
        os.close(descriptor)


def _read(descriptor: int, until: str) -> str:
    """What appears until something matches."""
    seen = ""
    while not re.search(until, seen):
        assert select.select([descriptor], [], [], 30.0)[0], seen
        seen += os.read(descriptor, 4096).decode()
    return seen


@pytest.mark.slow
def test_a_bar_shows_how_far_it_is(terminal: tuple[int, int], tmp_path: Path) -> None:
    """Share, items, rate, failures and workers are shown while it runs; at the end only the summary is."""
    screen, keyboard = terminal
    os.mkfifo(tmp_path / "gate")
    process = start("map", call("gate"), "-n", "2", "a", "b", str(tmp_path / "gate"), stderr=keyboard)
    shown = _read(screen, r"2/3 \[\d\d:\d\d < [^]]*, 0 failed, 2 workers\]")
    assert " 67% |" in shown
    (tmp_path / "gate").write_text("open", "utf-8")
    after = _read(screen, r"3 done, 0 failed, [^\n]*\n")
    assert re.search(r"\r *\ripcq: 3 done, 0 failed", after), after
    assert end(process).values == ["a", "b", "open"]


@pytest.mark.slow
def test_results_and_bar_do_not_mix(terminal: tuple[int, int], tmp_path: Path) -> None:
    """Where both go to one terminal, the bar is wiped before a line appears."""
    screen, keyboard = terminal
    os.mkfifo(tmp_path / "gate")
    process = start("map", call("gate"), "-n", "1", str(tmp_path / "gate"), stdout=keyboard, stderr=keyboard)
    _read(screen, r"0/1 \[[^]]*\]")
    (tmp_path / "gate").write_text("open", "utf-8")
    assert re.search(r"\r *\r{\"item\": ", _read(screen, r"1 done, 0 failed, "))
    end(process)


@pytest.mark.slow
def test_somebody_who_is_to_type_is_told(terminal: tuple[int, int]) -> None:
    """Reading from a terminal says so: it does not look stuck."""
    screen, keyboard = terminal
    process = start("map", call("same"), "-n", "1", stdin=keyboard)
    os.write(screen, b"typed\n\4")
    ended = end(process)
    assert ended.values == ["typed"]
    assert ended.err.startswith("ipcq: type one item a line; Ctrl-D ends\n")


@pytest.mark.slow
def test_what_is_to_be_typed_is_told_above_the_bar(terminal: tuple[int, int]) -> None:
    """Where a person sees both, the bar begins in a line of its own."""
    screen, keyboard = terminal
    process = start("map", call("same"), "-n", "1", stdin=keyboard, stderr=keyboard)
    assert _read(screen, r"0 items \[").startswith("ipcq: type one item a line; Ctrl-D ends\r\n")
    os.write(screen, b"\4")
    _read(screen, "there were no items")
    end(process)


@pytest.mark.slow
def test_quiet_is_quiet(terminal: tuple[int, int]) -> None:
    """With -q there is neither bar nor summary on a terminal."""
    screen, keyboard = terminal
    process = start("map", call("same"), "-n", "1", "-q", "a", stderr=keyboard, stdin=subprocess.DEVNULL)
    assert end(process).values == ["a"]
    assert not select.select([screen], [], [], 0)[0]
