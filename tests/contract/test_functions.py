"""The contract, as far as a backend of functions says that it fulfils it: a directory as its queue."""

from __future__ import annotations

import pickle
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from ipcq import CustomBackend, DuplicateTask, Task
from ipcq.backends.custom import CustomQueue
from ipcq.testing import check_backend

_PARTS = ["id", "max_attempts", "max_deaths", "priority", "run_at", "timeout", "metadata", "keep_result"]

# Names of workers are unique within a process: nobody tells one process of the others.
_WITHIN_A_PROCESS = {"workers.one_of_a_name", "workers.a_name_is_free_when_its_worker_left"}


class Spool:
    """Each task is a file, named so that the first name is the next task."""

    def __init__(self, place: Path) -> None:
        self.new, self.taken = place / "new", place / "taken"
        for directory in (self.new, self.taken):
            directory.mkdir(parents=True)

    def push(self, task: Task[Any]) -> None:
        if any(self.new.parent.glob(f"*/*_{task.id}")):
            raise DuplicateTask(f"{task.id} is there")
        name = f"{8 - task.priority:02d}_{time.time_ns()}_{task.id}"
        draft = self.taken / f"{name}.draft"
        draft.write_bytes(pickle.dumps((task.args, {part: getattr(task, part) for part in _PARTS})))
        draft.rename(self.new / name)

    def fetch(self) -> Task[Any] | None:
        for file in sorted(self.new.iterdir()):
            try:
                args, parts = pickle.loads(file.rename(self.taken / file.name).read_bytes())
            except FileNotFoundError:
                continue
            return Task.of(args, **parts)
        return None

    def give_back(self, task: Task[Any]) -> None:
        (file,) = self.taken.glob(f"*_{task.id}")
        file.rename(self.new / file.name)


@pytest.mark.slow
def test_it_does_what_it_says(tmp_path: Path) -> None:
    """Every check of its capabilities passes from several processes, but that of names across processes."""
    numbers = count()

    def fresh() -> CustomQueue:
        spool = Spool(tmp_path / str(next(numbers)))
        return CustomBackend(fetch=spool.fetch, push=spool.push, give_back=spool.give_back)

    report = check_backend(fresh)
    assert {result.name for result in report.failures} == _WITHIN_A_PROCESS, report
    assert sum(result.outcome.name == "PASSED" for result in report.results) > 20
