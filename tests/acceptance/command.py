"""The command as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent.parent
HERE = "tests.acceptance.functions"
IPCQ = [sys.executable, "-m", "ipcq"]

_LONG = 180.0  # seconds; a loaded machine takes long


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def values(self) -> list[Any]:
        """The values in these lines."""
        return [line["value"] for line in self.lines]


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start ``ipcq ARGUMENTS`` in the repository's root, in a process group of its own, as a shell does."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [*IPCQ, *arguments], cwd=ROOT, encoding="utf-8", start_new_session=True, **{**pipes, **options}
    )


def end(process: subprocess.Popen[str], sent: str | None = None) -> Ended:
    """Wait for its end; give it ``sent`` before."""
    with process:
        out, err = process.communicate(sent, timeout=_LONG)
    return Ended(process.returncode, out or "", err or "")


def run(*arguments: str, sent: str | None = None, **options: Any) -> Ended:
    """Run ``ipcq ARGUMENTS`` to its end, with ``sent`` as its standard input."""
    if sent is not None:
        options["stdin"] = subprocess.PIPE
    return end(start(*arguments, **options), sent)


def run_all(commands: Iterable[list[str]]) -> list[Ended]:
    """Run several at the same time."""
    return [end(process) for process in [start(*arguments) for arguments in commands]]


def call(name: str) -> str:
    """How the command names one of the functions of the tests."""
    return f"{HERE}:{name}"


def press(process: subprocess.Popen[str], number: int) -> None:
    """Send a signal to the whole group, as a terminal does."""
    os.killpg(process.pid, number)


def eventually(true: Callable[[], object]) -> None:
    """Wait for what tells nobody when it happens, such as the end of a process that is no child."""
    until = time.monotonic() + _LONG
    while not true():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)


def keep_pressing(process: subprocess.Popen[str]) -> None:
    """Ctrl-C again and again until the command has ended, as an impatient person does."""

    def has_ended() -> bool:
        press(process, signal.SIGINT)
        return process.poll() is not None

    eventually(has_ended)


def complaint(ended: Ended) -> str:
    """The one line of an error; nothing else was written."""
    assert ended.out == ""
    assert ended.err.startswith("ipcq: error: ")
    assert ended.err.count("\n") == 1, ended.err
    return ended.err
