"""Looks whether the function exists, in a process of its own, before anything is started.

Importing a user's module may print, take long, start threads or end the process; none of that
must happen to the command.
"""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from ..errors import HandlerNotFound
from .exits import UsageError, one_line
from .interrupts import Interrupts

__all__ = ["check_function", "main"]

_FINE = "fine"


def check_function(function: str, directory: str | None, interrupts: Interrupts) -> None:
    """Raise unless ``module:function`` names a function of one argument.

    Raises:
        UsageError: it does not, or its module cannot be imported.
        Interrupted: a signal came meanwhile.
    """
    command = [sys.executable, "-c", "from ipcq.cli.check import main; main()", function, directory or ""]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is for the command, which ends this one quietly
    ) as process:
        interrupts.call(process.kill)
        verdict = process.communicate()[0].decode("utf-8", "replace")
    interrupts.check()
    if verdict != _FINE:
        raise UsageError(verdict or _end(function, process.returncode))


def main() -> None:
    """Do the looking: import what the arguments name, and tell the verdict on standard output."""
    function, directory = sys.argv[1:]
    report = os.dup(1)
    try:
        verdict = _verdict(function, directory or None)
    except HandlerNotFound as error:  # says itself what is wrong, and with what
        verdict = one_line(error)
    except BaseException as error:  # SystemExit too: a script without a __main__ guard
        verdict = f"cannot import {function.partition(':')[0]}: {type(error).__name__}: {one_line(error)}"
    os.write(report, verdict.encode("utf-8", "replace"))
    sys.stdout.flush()
    os._exit(0)  # whatever threads the module started


def _verdict(name: str, directory: str | None) -> str:
    from ..worker.handler import resolve
    from .call import prepare

    prepare(name, directory)
    return _callable_with_one(name, resolve(name)) or _FINE


def _callable_with_one(name: str, function: Callable[..., Any]) -> str:
    if inspect.iscoroutinefunction(function):
        return f"{name} is a coroutine function; ipcq map calls plain functions: wrap it in asyncio.run"
    try:
        inspect.signature(function).bind("item")
    except TypeError as error:
        return f"{name} cannot be called with one item, a str: {error}"
    except ValueError:  # some functions written in C do not tell
        pass
    return ""


def _end(function: str, status: int) -> str:
    how = f"ended the process with status {status}"
    if status < 0:
        how = f"crashed the process ({signal.Signals(-status).name})"
    return f"importing {function.partition(':')[0]} {how}"
