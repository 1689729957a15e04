"""Producers and Monitors are killed and started again. ``IPCQ_CHAOS_SECONDS`` says for how long."""

from __future__ import annotations

import random
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipcq import Monitor

from .aftermath import await_idle, await_workers, check_empty
from .cast import Cast
from .consumer import Consumer
from .diary import Diary
from .handlers import echo
from .killer import Killer
from .roles import start
from .test_chaos import PATIENT, SEED, WORKERS, only_long

if TYPE_CHECKING:
    from tests.conftest import MakeQueue


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
