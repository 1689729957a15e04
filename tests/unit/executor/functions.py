"""What the executors under test call: found by every process."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

SETTING = "not set"


def square(number: int) -> int:
    """Its square."""
    return number * number


def keep(*args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """What it was called with."""
    return args, kwargs


def fail(number: int) -> NoReturn:
    """Raise."""
    raise ValueError(f"no {number}")


def odd_only(number: int) -> int:
    """Raise for even numbers."""
    if number % 2 == 0:
        raise ValueError(f"{number} is even")
    return number


def die(*_: Any) -> NoReturn:
    """Be killed."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leave(code: int) -> NoReturn:
    """End the process."""
    os._exit(code)


def end(code: int) -> NoReturn:
    """Raise SystemExit."""
    sys.exit(code)


def die_once(path: str) -> str:
    """Be killed in the first run, of which the file tells the second one."""
    mark = Path(path)
    if not mark.exists():
        mark.touch()
        die()
    return "survived"


def touch(path: str) -> str:
    """Make a file; its path."""
    Path(path).touch()
    return path


def wait_for(path: str) -> str:
    """Return when the file is there."""
    while not Path(path).exists():
        time.sleep(0.001)
    return path


def touch_and_wait(mark: str, path: str) -> None:
    """Make a file, then wait for another."""
    touch(mark)
    wait_for(path)


def pid(*_: Any) -> int:
    """The process."""
    return os.getpid()


def set_up(value: str) -> None:
    """As an initializer."""
    global SETTING
    SETTING = value


def setting() -> str:
    """What `set_up` was called with."""
    return SETTING


def fail_to_set_up(value: str) -> NoReturn:
    """As an initializer that raises."""
    raise ValueError(value)


def environment(name: str) -> str | None:
    """A variable of the process."""
    return os.environ.get(name)


class Stubborn:
    """Cannot be pickled, and says so in its own way."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("stubborn")

    def __repr__(self) -> str:
        return "<Stubborn>"


def stubborn() -> Stubborn:
    """Return what cannot be pickled."""
    return Stubborn()


class BadError(Exception):
    """An exception that does not come back: its arguments are not those of its constructor."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def raise_bad_error() -> NoReturn:
    """Raise what cannot be unpickled."""
    raise BadError("a", "b")


def raise_with_stubborn() -> NoReturn:
    """Raise what cannot be pickled."""
    raise ValueError(Stubborn())


class Explosive:
    """Raises when it is unpickled."""

    def __reduce__(self) -> Any:
        return fail, (7,)


def explosive() -> Explosive:
    """Return what cannot be unpickled."""
    return Explosive()


class Interrupted:
    """As if the user pressed Ctrl-C while it is unpickled."""

    def __reduce__(self) -> Any:
        return interrupt, ()


def interrupt() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def interrupting(_: object = None) -> Interrupted:
    """Return what is interrupted while it is unpickled."""
    return Interrupted()


def about(array: Any) -> tuple[bool, bool, float]:
    """Whether an array can be written to, whether its memory is its own, and its sum."""
    return array.flags.writeable, array.flags.owndata, float(array.sum())


def double(array: Any) -> Any:
    """An array twice as much."""
    return array * 2
