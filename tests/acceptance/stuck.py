"""Handlers that do not end by themselves; in a module of their own, for worker processes."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import time
from collections import deque
from pathlib import Path

__all__ = ["CASES", "run", "wait_in_loop"]

_HOUR = 3600.0
_CHILDREN = "sleep 3600 & setsid sleep 3600 & (setsid sh -c 'sleep 3600 & sleep 3600' &) ; sleep 3600"


def _sleep() -> None:
    time.sleep(_HOUR)


def _hold_the_gil() -> None:
    """In C, without a look at signals."""
    deque(itertools.repeat(None), maxlen=0)


def _ignore_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(_HOUR)


def _swallow() -> None:
    while True:
        try:
            time.sleep(_HOUR)
        except BaseException:
            pass


def _have_children() -> None:
    """One that stays, one in a session of its own, and a daemon with children, whose parent is gone."""
    subprocess.Popen(_CHILDREN, shell=True)
    time.sleep(_HOUR)


def _have_children_and_ignore() -> None:
    subprocess.Popen(_CHILDREN, shell=True)
    _ignore_sigterm()


CASES = {
    "sleep": _sleep,
    "gil": _hold_the_gil,
    "ignore": _ignore_sigterm,
    "swallow": _swallow,
    "children": _have_children,
    "stubborn children": _have_children_and_ignore,
}


def run(task: str) -> str:
    """Get stuck in one of these ways; else wait until a file is there, and tell the process id."""
    if task in CASES:
        CASES[task]()
    elif task.startswith("eat"):
        hoard = [b"x" * 1_000_000 for _ in range(int(task.split()[1]))]
        time.sleep(_HOUR if len(hoard) > 100 else 0)
    elif task:
        while not Path(task).exists():
            time.sleep(0.001)
    return str(os.getpid())


async def wait_in_loop(how: str) -> str:
    """Wait until a file is there; or block the loop; or be deaf to a cancellation; or just never end."""
    if how == "block":
        time.sleep(_HOUR)
    while how in ("never", "swallow") or not Path(how).exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            if how != "swallow":
                raise
    return str(os.getpid())
