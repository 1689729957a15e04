"""What workers run in kill tests. A task is a list; its first two items are the diary and its number."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
import zlib
from typing import Any

from .diary import Diary, noted

SIZES = (8, 2_000, 20_000, 300_000)  # in the slot, in the arena (copied in two ways), in a file


def work(task: list[Any]) -> int:
    """Be busy for ``task[2]`` seconds; the number after its own."""
    path, number, seconds = task
    with noted(path, number):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
        return int(number + 1)


def echo(task: list[Any]) -> list[Any]:
    """Answer ``task[2]`` bytes, and the checksum of the bytes that came."""
    path, number, size, data = task
    with noted(path, number):
        return [zlib.crc32(data), filler(number, size)]


def filler(number: int, size: int) -> bytes:
    """Bytes that only this task has."""
    return (number.to_bytes(8, "little") * (size // 8 + 1))[:size]


def hold(task: list[Any]) -> int:
    """Never end in the first process that runs it; end at once in the next. Its process."""
    path, number = task
    first = next((run.pid for run in Diary(path).runs() if run.number == number), 0)
    with noted(path, number):
        if not first:
            threading.Event().wait()
        return os.getpid()


async def hold_in_loop(task: list[Any]) -> int:
    """The same as a coroutine function."""
    path, number = task
    first = next((run.pid for run in Diary(path).runs() if run.number == number), 0)
    with noted(path, number):
        if not first:
            await asyncio.Event().wait()
        return os.getpid()


async def never_in_loop(task: list[Any]) -> None:
    """Never end; be deaf to a cancellation if ``task[2]``."""
    path, number, deaf = task
    with noted(path, number):
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if not deaf:
                    raise


def end_badly(how: str) -> str:
    """End the process in some way, or never; or do as told and answer."""
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "segfault":
        ctypes.string_at(0)
    elif how == "stay":
        threading.Event().wait()
    elif how.startswith("exit"):
        os._exit(int(how.removeprefix("exit ")))
    return how
