"""Real processes, killed at random under load. ``IPCQ_CHAOS_SECONDS`` says for how long."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ipcq import MemoryStorage, Monitor, RestartPolicy

from .aftermath import check_empty
from .handlers import echo, work
from .killer import Killer
from .load import Load, MixedLoad

if TYPE_CHECKING:
    from tests.conftest import MakeQueue

LONG = float(os.environ.get("IPCQ_CHAOS_SECONDS", "30"))
WORKERS = 4
SEED = 20_240_501

# Workers that are killed before they are ready count as failures; here that is no reason to give up.
PATIENT = RestartPolicy(delay=0.0, max_failures=100_000)

long = pytest.param(LONG, id="long", marks=pytest.mark.slow)
short_and_long = pytest.mark.parametrize("seconds", [pytest.param(0.5, id="short"), long])
only_long = pytest.mark.parametrize("seconds", [long])


def _chaos(storage: MemoryStorage, load: Load, seconds: float, *, stops: int = 0) -> None:
    handler = echo if isinstance(load, MixedLoad) else work
    with Monitor(storage, handler, workers=WORKERS, restart=PATIENT) as monitor:
        with Killer(lambda: monitor.workers, SEED, stops=stops) as killer:
            load.run(seconds)
        load.finish()
    repeated = load.diary.check(range(load.tasks), killer.killed)
    told = check_empty(storage)
    print(
        f"\n{len(killer.killed)} kills and {killer.stopped} stops in {seconds:g} s (seed {SEED}):"
        f" {load.tasks} tasks, all right, {repeated} runs repeated, {told}"
    )
    assert killer.killed


@short_and_long
def test_killed_workers_lose_nothing(make_queue: MakeQueue, tmp_path: Path, seconds: float) -> None:
    """A random worker is killed every 50 ms: all tasks end well, only running ones are repeated."""
    storage = make_queue()
    _chaos(storage, Load(storage, tmp_path), seconds)


@only_long
def test_stopped_workers_keep_their_tasks(make_queue: MakeQueue, tmp_path: Path, seconds: float) -> None:
    """Workers are stopped for up to a second among the kills: no stopped one loses its task."""
    storage = make_queue()
    _chaos(storage, Load(storage, tmp_path), seconds, stops=5)


@only_long
def test_payloads_of_all_sizes_survive(make_queue: MakeQueue, tmp_path: Path, seconds: float) -> None:
    """Payloads and results in slots, in the arena and in files are right, and all room is free again."""
    storage = make_queue()
    _chaos(storage, MixedLoad(storage, tmp_path), seconds)
