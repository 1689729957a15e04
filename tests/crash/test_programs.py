"""Producers and Monitors are killed and started again. ``IPCQ_CHAOS_SECONDS`` says for how long."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipcq import MemoryStorage, Monitor, TaskId

from .aftermath import await_idle, await_workers, check_empty
from .cast import Cast
from .diary import Diary
from .handlers import echo
from .killer import Killer
from .roles import start
from .test_chaos import PATIENT, SEED, WORKERS, only_long

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

PATIENCE = 120.0  # seconds for all to finish once the killing is over


class Consumer:
    """Waits for what producers noted as accepted, and checks each value.

    Args:
        accepted: the file with a line for each task: its number and id.
        is_right: compares a task's number with its value.
    """

    def __init__(self, storage: MemoryStorage, accepted: Path, is_right: Callable[[int, Any], bool]) -> None:
        accepted.touch()
        self.numbers: set[int] = set()
        self._lines = accepted.open("rb")
        self._rest = b""  # of a line that is being written
        self._is_right = is_right
        self._waiting = storage.wait_for(())
        self._number_of: dict[int, int] = {}

    def run(self, seconds: float) -> None:
        """Fetch for so long, and until a producer has lived long enough to have something accepted."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until or (not self.numbers and now < until + PATIENCE):
            self._read()
            self._fetch(0.05)

    def finish(self) -> None:
        """Fetch all that was accepted; the producers are gone."""
        self._read()
        self._lines.close()
        until = time.monotonic() + PATIENCE
        while self._waiting and time.monotonic() < until:
            self._fetch(1.0)
        assert not self._waiting, f"{len(self._waiting)} accepted tasks do not finish"

    def _read(self) -> None:
        ids = []
        whole, _, self._rest = (self._rest + self._lines.read()).rpartition(b"\n")
        for line in whole.splitlines():
            number, task_id = line.decode().split()
            ids.append(TaskId.parse(task_id))
            self._number_of[ids[-1]] = int(number)
        self.numbers.update(self._number_of.values())
        self._waiting.add(ids)

    def _fetch(self, timeout: float) -> None:
        for result in self._waiting.ready(timeout):
            assert self._is_right(self._number_of.pop(result.task_id), result.unwrap())


@only_long
def test_accepted_tasks_outlive_producers_and_monitors(
    make_queue: MakeQueue, tmp_path: Path, seconds: float
) -> None:
    """Tasks whose push returned are finished though producers and Monitor are killed all the time."""
    storage, diary, chance = make_queue(), Diary(tmp_path / "diary"), random.Random(SEED)
    name, accepted = str(storage.queue), tmp_path / "accepted"

    def producer() -> Any:
        return start("produce", name, diary.path, accepted, chance.randrange(1 << 30))

    def monitor() -> Any:
        return start("monitor", name, WORKERS)

    consumer = Consumer(storage, accepted, lambda number, value: bool(value == number + 1))
    with Cast([monitor, producer, producer], SEED, pause=0.25 if seconds < 5 else 1.0) as cast:
        consumer.run(seconds)
    last = monitor()
    try:
        consumer.finish()
        await_idle(storage)
        unharmed = await_workers(storage, 1)
    finally:
        last.send_signal(signal.SIGTERM)
    assert last.wait(30) == 0
    killed = {run.pid for run in diary.runs()} - unharmed
    repeated = diary.check(consumer.numbers, killed)
    told = check_empty(storage)
    print(
        f"\n{cast.kills} kills of programs in {seconds:g} s (seed {SEED}): {len(consumer.numbers)} tasks"
        f" accepted, all right, {repeated} runs repeated, {told}; workers gone {cast.slowest:.2f} s after"
        " their Monitor at the latest"
    )
    assert cast.outlived == []
    assert consumer.numbers


@only_long
def test_a_full_queue_survives_kills(make_queue: MakeQueue, tmp_path: Path, seconds: float) -> None:
    """Producers wait for room, workers wait to store results, and both are killed: nothing is lost."""
    storage = make_queue(capacity=32, arena_bytes=1 << 20, blob_bytes=2_000_000)
    diary, accepted, chance = Diary(tmp_path / "diary"), tmp_path / "accepted", random.Random(SEED)

    def producer() -> Any:
        return start("crowd", storage.queue, diary.path, accepted, chance.randrange(1 << 30))

    def is_right(number: int, value: Any) -> bool:
        answer: bytes = value[1]
        return answer[:8] == number.to_bytes(8, "little")

    consumer = Consumer(storage, accepted, is_right)
    with ExitStack() as stack:
        monitor = stack.enter_context(Monitor(storage, echo, workers=WORKERS, restart=PATIENT))
        with (
            Cast([producer] * 3, SEED, pause=1.0) as cast,
            Killer(lambda: monitor.workers, SEED, every=0.1) as killer,
        ):
            consumer.run(seconds)
        consumer.finish()
        await_idle(storage)
    repeated = diary.check(consumer.numbers, killer.killed)
    told = check_empty(storage)
    print(
        f"\n{cast.kills} kills of producers and {len(killer.killed)} of workers in {seconds:g} s, room for 32"
        f" tasks (seed {SEED}): {len(consumer.numbers)} accepted, all right, {repeated} runs repeated, {told}"
    )
    assert consumer.numbers
