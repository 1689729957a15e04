"""What the command is made to call: each does what its name says with the item, a str."""

from __future__ import annotations

import logging
import os
import signal
import time
from pathlib import Path


def same(item: str) -> str:
    """Return the item."""
    return item


def fail(item: str) -> str:
    """Raise."""
    raise ValueError(f"no {item}")


def oddity(item: str) -> object:
    """Return what has no JSON form."""
    return object()


def grow(item: str) -> str:
    """Return as many characters as the item says."""
    return "x" * int(item)


def speak(item: str) -> str:
    """Print."""
    print(f"about {item}")
    return item


async def later(item: str) -> str:
    """Be no plain function."""
    return item


def gate(item: str) -> str:
    """An item that is a FIFO is waited for until somebody writes into it."""
    return Path(item).read_text("utf-8") if item.startswith("/") else item


def knock(item: str) -> str:
    """An item that is a FIFO is told that we run, and then is waited for, for ever."""
    if item.startswith("/"):
        Path(item).write_text("here", "utf-8")
        time.sleep(100_000)
    return item


def refuse_to_end(item: str) -> str:
    """The same, and nothing short of SIGKILL helps."""
    Path(item).write_text("here", "utf-8")
    while True:
        try:
            time.sleep(100_000)
        except BaseException:
            pass


def die_once(item: str) -> str:
    """An item that is a path dies when it is run for the first time; all note that they run."""
    if item.startswith("/") and not os.path.exists(item):
        Path(item).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def die(item: str) -> str:
    """An item that is the name of a signal sends it to its own process."""
    if item.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, item))
    return item


def noted(item: str) -> str:
    """An item that is a FIFO is waited for until somebody writes into it; the others note that they run."""
    if item.startswith("/"):
        return Path(item).read_text("utf-8")
    with open(os.environ["NOTES"], "a", encoding="utf-8") as notes:
        notes.write(f"{item}\n")
    time.sleep(0.01)
    if item.startswith("bad"):
        raise ValueError(item)
    return item.upper()


def log_and_print(item: str) -> str:
    """Log and print the item."""
    logging.getLogger("speaking").info("logged %s", item)
    logging.getLogger("speaking").debug("too low")
    print(f"printed {item}")
    return item
