"""The command line."""

from __future__ import annotations

import pytest

from ipcq.cli.exits import UsageError
from ipcq.cli.parser import parse


def test_the_first_word_is_the_function() -> None:
    """Options may stand anywhere; what is behind ``--`` is an item whatever it looks like."""
    options = parse(["map", "-n", "3", "a.b:c", "x", "--unordered", "y", "--", "-z", "--glob"])
    assert options.command == "map"
    assert (options.function, options.items) == ("a.b:c", ["x", "y", "-z", "--glob"])
    assert (options.workers, options.unordered, options.null, options.quiet) == (3, True, False, False)


def test_without_options_all_is_left_to_the_machine() -> None:
    """No number of workers and no items: usable CPUs and standard input."""
    options = parse(["map", "a:b"])
    assert (options.workers, options.items, options.glob) == (None, [], None)


def test_patterns_add_up() -> None:
    """``--glob`` may be repeated, and mixed with items."""
    options = parse(["map", "a:b", "--glob", "*.py", "item", "--glob", "*.txt"])
    assert (options.glob, options.items) == (["*.py", "*.txt"], ["item"])


def test_the_environment_names_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """``--queue`` is ``IPCQ_URL`` unless it is given; an empty one is none."""
    monkeypatch.setenv("IPCQ_URL", "memory://a")
    assert parse(["map", "a:b", "--resume"]).queue == "memory://a"
    assert parse(["map", "a:b", "--queue", "memory://b"]).queue == "memory://b"
    monkeypatch.setenv("IPCQ_URL", "")
    assert parse(["map", "a:b"]).queue is None


def test_gc_may_be_forced() -> None:
    """``ipcq gc --force`` is understood."""
    assert parse(["gc", "--force"]).force
    assert not parse(["gc"]).force


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mop"], "there is no command 'mop': use map, serve, keygen, metrics or gc; see ipcq --help"),
        (["map"], "which function? write ipcq map MODULE:FUNCTION"),
        (["map", "len"], "'len' is not a function: write MODULE:FUNCTION, as in os.path:getsize"),
        (["map", "a:"], "'a:' is not a function"),
        (["map", "./dir/tool.py:run"], "names a file: give the module, as in dir.tool:run"),
        (["map", "tool.py"], "names a file: give the module, as in tool:FUNCTION"),
        (["map", "a:b", "-n", "0"], "'0' is not a number from 1 to 1024; see ipcq map --help"),
        (["map", "a:b", "-n", "many"], "'many' is not a number from 1 to 1024"),
        (["map", "a:b", "--unorder"], "unrecognized arguments: --unorder"),
        (["map", "a:b", "--glob"], "expected one argument"),
        (["map", "a:b", "-0", "x"], "-0 is about standard input"),
        (
            ["map", "a:b", "--resume"],
            "--resume needs the queue of the interrupted run: --queue URL, or IPCQ_URL",
        ),
        (["serve", "memory://a"], "the following arguments are required: ENDPOINT"),
        (["gc", "name"], "unrecognized arguments: name"),
    ],
)
def test_what_cannot_be_understood_is_told(arguments: list[str], message: str) -> None:
    """Each misuse has one line that says what is wrong and what to write."""
    with pytest.raises(UsageError) as caught:
        parse(arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "usage: ipcq map MODULE:FUNCTION"),
        (["--help"], "usage: ipcq map MODULE:FUNCTION"),
        (["map", "--help"], "0    all items have a value"),
        (["serve", "-h"], "pipe+ENDPOINT"),
        (["gc", "-h"], "--force"),
        (["--version"], "ipcq "),
    ],
)
def test_help_is_printed(arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help and version end the command well, on standard output; no line is wider than 80 columns."""
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert not caught.value.code
    shown = capsys.readouterr().out
    assert part in shown
    assert max(map(len, shown.splitlines())) <= 80
