"""The output of ``ipcq gc``."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from ipcq.backends import memory
from ipcq.cli import gc
from ipcq.logs import address


def _collecting(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, bool, str]) -> list[bool]:
    forced = []

    def collect(*, force: bool) -> list[SimpleNamespace]:
        forced.append(force)
        return [SimpleNamespace(name=name, removed=removed, reason=reason) for name, removed, reason in found]

    monkeypatch.setattr(memory, "gc", collect)
    return forced


def test_what_was_removed_and_kept_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line a queue, with the reason."""
    forced = _collecting(monkeypatch, ("a", True, "nobody is attached"), ("b", False, "in use"))
    assert gc.run(force=True) == 0
    assert capsys.readouterr() == ("removed a: nobody is attached\nkept b: in use\n", "")
    assert forced == [True]


def test_no_queues_are_told_to_people(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output stays empty, so that a script sees nothing."""
    assert _collecting(monkeypatch) == []
    assert gc.run() == 0
    assert capsys.readouterr() == ("", "ipcq: there are no queues\n")


def test_receivers_that_were_killed_are_removed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their names; those that live stay."""
    assert _collecting(monkeypatch) == []
    _, dead = address.listen()
    dead.close()
    path, lives = address.listen()  # removes the first one itself
    assert gc.run() == 0
    lives.close()
    assert gc.run() == 0
    assert capsys.readouterr().out == "removed 1 receivers of logs: their processes are gone\n"
    assert address.connect(os.path.basename(path)) is None


def test_limits_that_nobody_uses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], private_directory: Path
) -> None:
    """How many files of them were removed is told."""
    _collecting(monkeypatch)
    directory = private_directory / ".limits"
    directory.mkdir(mode=0o700)
    (directory / "0123456789abcdef.default").touch()
    assert gc.run() == 0
    assert capsys.readouterr() == ("removed 1 files of limits: nobody uses them\n", "")
    assert list(directory.iterdir()) == []
