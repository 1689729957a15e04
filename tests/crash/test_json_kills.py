"""A queue in a file all of whose processes are killed, again and again: producers, workers and who waits."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from ipcq import JsonStorage, Monitor, RestartPolicy, Status, TaskId, Worker
from tests.unit.memory.children import Line, child

from .diary import Diary
from .handlers import work
from .killer import Killer
from .notes import Notes
from .test_journal_kills import ROUNDS, SEED

BATCHES = 8  # of each producer in a round: what is left over by one is run in the next ones


def _produce(path: Path, diary: str, accepted: Path, _: Line) -> None:
    """Push, and note what was accepted as soon as the push returned; then wait for the results."""
    note = Notes(accepted)
    with JsonStorage(path) as queue:
        ids: list[TaskId] = []
        for first in range(os.getpid() << 20, (os.getpid() << 20) + BATCHES * 4, 4):
            numbers = range(first, first + 1 + first // 4 % 4)
            ids += queue.push_bulk([[diary, number, 0.0005] for number in numbers], max_deaths=255)
            tail = ids[-len(numbers) :]
            note(*(f"{n} {i}" for n, i in zip(numbers, tail, strict=True)))
        for result in queue.wait_for(ids):
            result.unwrap()
        _wait_for_the_end()


def _work(path: Path, name: str, _: Line) -> None:
    with JsonStorage(path) as queue:
        Worker(name, queue, work).run()


def _wait_for_the_end() -> None:
    for _ in count():
        time.sleep(60.0)


def _round(crew: Sequence[Callable[[Line], None]], seconds: float) -> set[int]:
    """Start all, kill all after a while; who was killed."""
    with ExitStack() as stack:
        processes = [stack.enter_context(child(each)) for each in crew]
        time.sleep(seconds)  # chance decides how far they come
        for process in processes:
            process.kill()
        return {process.pid for process in processes}


def _accepted(path: Path) -> dict[int, TaskId]:
    lines = path.read_text("ascii").splitlines() if path.exists() else []
    return {int(number): TaskId.parse(task_id) for number, task_id in map(str.split, lines)}


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="short"), pytest.param(ROUNDS, id="long", marks=pytest.mark.slow)]
)
def test_all_killed_at_random_moments(private_directory: Path, rounds: int) -> None:
    """What a push accepted is there when the file is opened again; only what was running runs again."""
    chance, killed = random.Random(SEED), set[int]()
    path, diary, accepted = (
        private_directory / "log",
        Diary(private_directory / "diary"),
        private_directory / "ids",
    )
    crew = [
        *(partial(_produce, path, diary.path, accepted) for _ in range(2)),
        *(partial(_work, path, name) for name in "vw"),
    ]
    for _ in range(rounds):
        killed |= _round(crew, chance.uniform(0.02, 0.25))
        with JsonStorage(path) as queue:
            ids = _accepted(accepted).values()
            assert set(queue.check_status(ids)) == set(ids)
    with JsonStorage(path) as queue:
        Worker("last", queue, work).run(until_empty=True)
        tasks = _accepted(accepted)
        assert set(queue.check_status(tasks.values()).values()) <= {Status.DONE}
        assert queue.set_aside == 0
    repeated = diary.check(tasks, killed)
    print(f"\n{rounds} rounds (seed {SEED}): {len(tasks)} tasks, all right, {repeated} runs repeated")
    assert tasks


@pytest.mark.slow
def test_killed_workers_lose_nothing(private_directory: Path) -> None:
    """A random worker is killed three times a second: all tasks end well, only running ones are repeated."""
    diary = Diary(private_directory / "diary")
    with JsonStorage(private_directory / "log", fsync="never") as queue:
        patient = RestartPolicy(delay=0.0, max_failures=100_000)
        with (
            Monitor(queue, work, workers=3, restart=patient) as monitor,
            Killer(lambda: monitor.workers, SEED, every=0.3) as killer,
        ):
            ids = queue.push_bulk([[diary.path, number, 0.002] for number in range(2000)], max_deaths=255)
            values = sorted(int(result.unwrap()) for result in queue.wait_for(ids, 120))
        assert values == list(range(1, 2001))
    repeated = diary.check(range(2000), killer.killed)
    print(f"\n{len(killer.killed)} kills: {repeated} runs repeated")
    assert killer.killed
