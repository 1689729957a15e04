"""Programs that kill tests start, kill and start again: ``python -m tests.crash.roles ROLE ...``."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from ipcq import MemoryStorage, Monitor, Pipe, QueueFull, TaskId

from .handlers import SIZES, filler, work
from .notes import Notes

Program = subprocess.Popen[bytes]


def start(role: str, *args: object) -> Program:
    """Start a role in a process of its own."""
    root = Path(__file__).parents[2]
    return subprocess.Popen([sys.executable, "-m", __name__, role, *map(str, args)], cwd=root)


def _opened(where: str) -> MemoryStorage | Pipe:
    """The queue of that name, or behind that endpoint."""
    return Pipe(where) if "://" in where else MemoryStorage(where, create=False)


def serve(name: str, endpoint: str) -> None:
    """Put a queue behind a socket until killed."""
    with MemoryStorage(name, create=False) as storage, Pipe.serve(storage, endpoint):
        threading.Event().wait()


def monitor(where: str, workers: str) -> None:
    """Keep workers on a queue until told to end."""
    with _opened(where) as storage:
        Monitor(storage, work, workers=int(workers)).run()


def produce(where: str, diary: str, accepted: str, seed: str) -> None:
    """Push without end for `work`; note what was accepted as soon as its push returned."""
    chance, note = random.Random(int(seed)), Notes(accepted)
    with _opened(where) as storage:
        for first in count(os.getpid() << 20, 5):
            tasks = [[diary, first + n, 0.001] for n in range(chance.randint(1, 5))]
            if len(tasks) > 1:
                ids = storage.push_bulk(tasks, max_deaths=255)
            else:
                ids = [storage.push(tasks[0], max_deaths=255)]
            note(*(f"{task[1]} {task_id}" for task, task_id in zip(tasks, ids, strict=True)))
            time.sleep(chance.uniform(0, 0.01))  # about as fast as they are finished


def crowd(name: str, diary: str, accepted: str, seed: str) -> None:
    """Push without end for `echo`, payloads of all sizes; note what was accepted."""
    chance, note = random.Random(int(seed)), Notes(accepted)
    with MemoryStorage(name, create=False) as storage:
        for number in count(os.getpid() << 20):
            payload = filler(number, chance.choice(SIZES))
            task_id = _insist(storage, [diary, number, chance.choice(SIZES), payload])
            note(f"{number} {task_id}")


def _insist(storage: MemoryStorage, args: Any) -> TaskId:
    """Push, again and again where only this process's results fill the queue: another one fetches them."""
    while True:
        try:
            return storage.push(args, max_deaths=255)
        except QueueFull:
            time.sleep(0.005)


if __name__ == "__main__":
    ROLES: dict[str, Callable[..., None]] = {
        "serve": serve,
        "monitor": monitor,
        "produce": produce,
        "crowd": crowd,
    }
    ROLES[sys.argv[1]](*sys.argv[2:])
