"""An executor whose workers are killed while it works."""

from __future__ import annotations

import os
import random
import signal
import threading

import pytest

from ipcq import Executor
from tests.unit.executor.functions import square

pytestmark = pytest.mark.one_fork_server
EVERY = 0.1  # seconds between two kills
SEED = 7


class Killer:
    """Kills a worker of an executor every tenth of a second."""

    def __init__(self, executor: Executor) -> None:
        self.kills = 0
        self._executor = executor
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        chance = random.Random(SEED)
        while not self._ended.wait(EVERY):
            pids = self._executor.workers
            if pids:
                try:
                    os.kill(chance.choice(pids), signal.SIGKILL)
                    self.kills += 1
                except ProcessLookupError:
                    pass


def slowly(number: int) -> int:
    """About a third of a millisecond of work."""
    return sum(range(10_000)) * 0 + square(number)


@pytest.mark.parametrize(
    "count", [pytest.param(1_000, id="short"), pytest.param(10_000, id="long", marks=pytest.mark.slow)]
)
def test_a_worker_is_killed_every_tenth_of_a_second(count: int) -> None:
    """All results are right, of single calls and of a map."""
    with Executor(2, max_deaths=255) as executor, Killer(executor) as killer:
        futures = [executor.submit(slowly, number) for number in range(count // 2)]
        mapped = list(executor.map(slowly, range(count // 2)))
        assert [future.result() for future in futures] == [n * n for n in range(count // 2)]
        assert mapped == [n * n for n in range(count // 2)]
    print(f"{count} calls, {killer.kills} kills")
