"""An executor whose workers are killed while it works."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ipcq import Executor
from tests.unit.executor.functions import square

from .interrupted import WHAT

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


def interrupted(what: str, seconds: float, group: bool) -> str:
    """What a program printed that was interrupted after so long; fails if it does not end, or badly.

    Args:
        group: its processes are interrupted, too, as by a terminal.
    """
    command = [sys.executable, "-m", "tests.crash.interrupted", what]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            time.sleep(seconds)  # chance decides how far it comes
            (os.killpg if group else os.kill)(program.pid, signal.SIGINT)
            told, trouble = program.communicate(timeout=30)
        except BaseException:
            os.killpg(program.pid, signal.SIGKILL)
            raise
    assert program.returncode == 0, trouble
    assert "Exception in thread" not in trouble
    return told


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="short"), pytest.param(10, id="long", marks=pytest.mark.slow)]
)
def test_interrupted_at_random_moments(private_directory: Path, rounds: int) -> None:
    """The program ends, no process and no queue is left; or it goes on with the same executor."""
    chance = random.Random(SEED)
    for number in range(rounds):
        for what in WHAT if rounds > 1 else ["going_on"]:
            told = interrupted(what, chance.uniform(0.0, 0.3), number % 2 == 0)
            assert told == ("went on\n" if what == "going_on" else "") + "interrupted\n"
            assert list(private_directory.iterdir()) == []
