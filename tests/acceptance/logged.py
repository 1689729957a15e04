"""Handlers that log and print, for worker processes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

from ipcq import TaskQueue

log = logging.getLogger("tests.logged")

named = TaskQueue("memory://logged")


def speak(number: int) -> int:
    """Log and print its number."""
    print(f"printed {number}")
    log.info("logged %d", number)
    return number


@named.task
def say(number: int) -> int:
    """The same, as a named function."""
    return speak(number)


async def speak_in_loop(number: int) -> int:
    """The same, while others do."""
    print("printed", end=" ")
    await asyncio.sleep(0.01)
    print(number)
    log.info("logged %d", number)
    return number


def speak_and_die(path: str) -> str:
    """Be killed in the first run, after its records."""
    log.info("a run")
    print("a line")
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return path
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def speak_much(count: int) -> int:
    """Log more than anybody can take in."""
    for number in range(count):
        log.info("%d %s", number, "x" * 500)
    return count
