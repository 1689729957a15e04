"""Servers, workers and clients of a pipe are killed. ``IPCQ_CHAOS_SECONDS`` says for how long."""

from __future__ import annotations

import random
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipcq import Monitor, Pipe

from .aftermath import await_idle, check_empty
from .cast import Cast
from .consumer import Consumer
from .diary import Diary
from .handlers import work
from .killer import Killer
from .roles import start
from .test_chaos import PATIENT, SEED, WORKERS, only_long

if TYPE_CHECKING:
    from tests.conftest import MakeQueue


@only_long
def test_killed_servers_workers_and_clients_lose_nothing(
    make_queue: MakeQueue, private_directory: Path, tmp_path: Path, seconds: float
) -> None:
    """What was accepted ends well; only what a killed worker ran is run again, though servers die, too."""
    storage, diary, chance = make_queue(), Diary(tmp_path / "diary"), random.Random(SEED)
    endpoint, accepted = f"ipc://{private_directory}/socket", tmp_path / "accepted"

    def server() -> Any:
        return start("serve", storage.queue, endpoint)

    def producer() -> Any:
        return start("produce", endpoint, diary.path, accepted, chance.randrange(1 << 30))

    with ExitStack() as stack:
        last = server()
        stack.callback(lambda: (last.kill(), last.wait()))
        pipe = stack.enter_context(Pipe(endpoint))
        consumer = Consumer(pipe, accepted, lambda number, value: bool(value == number + 1))
        monitor = stack.enter_context(Monitor(pipe, work, workers=WORKERS, restart=PATIENT))
        last.kill()
        last.wait()
        with (
            Cast([server, producer, producer], SEED, pause=1.0) as cast,
            Killer(lambda: monitor.workers, SEED, every=0.2) as killer,
        ):
            consumer.run(seconds)
        last = server()
        consumer.finish()
        await_idle(storage)
    repeated = diary.check(consumer.numbers, killer.killed)
    told = check_empty(storage)
    print(
        f"\n{cast.kills} kills of server and producers and {len(killer.killed)} of workers in {seconds:g} s"
        f" (seed {SEED}): {len(consumer.numbers)} tasks accepted, all right, {repeated} runs repeated, {told}"
    )
    assert consumer.numbers
