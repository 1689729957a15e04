"""A program with an executor, which is interrupted: ``python -m tests.crash.interrupted WHAT``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import as_completed

from ipcq import Executor
from tests.unit.executor.functions import square


def slow(number: int) -> int:
    """Take a moment."""
    time.sleep(0.02)
    return number


def one_by_one(executor: Executor) -> None:
    """Wait for each call."""
    while True:
        assert executor.submit(square, 3).result() == 9


def many(executor: Executor) -> None:
    """Wait for many, as they come."""
    while True:
        futures = [executor.submit(square, number) for number in range(200)]
        assert sum(each.result() for each in as_completed(futures)) == sum(n * n for n in range(200))


def mapped(executor: Executor) -> None:
    """Take the results of a map."""
    while True:
        assert list(executor.map(square, range(1000))) == [n * n for n in range(1000)]


def slowly(executor: Executor) -> None:
    """Take those of a map with much to do."""
    for _ in executor.map(slow, range(100_000)):
        pass


def going_on(executor: Executor) -> None:
    """Go on with the same executor afterwards."""
    try:
        one_by_one(executor)
    except KeyboardInterrupt:
        futures = [executor.submit(square, number) for number in range(50)]
        assert [each.result(30) for each in futures] == [n * n for n in range(50)]
        print("went on")
        raise


WHAT: dict[str, Callable[[Executor], None]] = {
    each.__name__: each for each in (one_by_one, many, mapped, slowly, going_on)
}

if __name__ == "__main__":
    try:
        with Executor(2) as made:
            print("ready", flush=True)
            WHAT[sys.argv[1]](made)
    except KeyboardInterrupt:
        print("interrupted")
