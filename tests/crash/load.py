"""A steady load on a queue, each of whose results is checked."""

from __future__ import annotations

import random
import time
import zlib
from pathlib import Path
from typing import Any

from ipcq import MemoryStorage

from .diary import Diary
from .handlers import SIZES, filler

PATIENCE = 120.0  # seconds for all to finish once the killing is over


class Load:
    """Tasks 0, 1, 2 ... for the handler `work`, of which ``ahead`` are always waiting."""

    def __init__(self, storage: MemoryStorage, path: Path, ahead: int = 2_000) -> None:
        self.diary = Diary(path / "diary")
        self.tasks = 0
        self._storage, self._ahead = storage, ahead
        self._waiting = storage.wait_for(())
        self._arguments: dict[int, list[Any]] = {}

    def run(self, seconds: float) -> None:
        """Push and fetch for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if len(self._waiting) < self._ahead:
                self._push(self._ahead // 8)
            self._fetch(0.05)

    def finish(self) -> None:
        """Have all finish."""
        until = time.monotonic() + PATIENCE
        while self._waiting and time.monotonic() < until:
            self._fetch(1.0)
        assert not self._waiting, f"{len(self._waiting)} tasks do not finish: {self._storage!r}"
        assert not self._arguments

    def make(self, number: int) -> list[Any]:
        """What one task is given."""
        return [self.diary.path, number, 0.0005]

    def is_right(self, task: list[Any], value: Any) -> bool:
        """Whether a task with these arguments gives this."""
        return bool(value == task[1] + 1)

    def _push(self, count: int) -> None:
        batch = [self.make(self.tasks + n) for n in range(count)]
        ids = self._storage.push_bulk(batch, max_deaths=255)
        self.tasks += count
        self._arguments |= zip(ids, batch, strict=True)
        self._waiting.add(ids)

    def _fetch(self, timeout: float) -> None:
        for result in self._waiting.ready(timeout):
            task, value = self._arguments.pop(result.task_id), result.unwrap()
            assert self.is_right(task, value), f"task {task[1]} gave something else"


class MixedLoad(Load):
    """The same with payloads and results of all sizes, for the handler `echo`."""

    def __init__(self, storage: MemoryStorage, path: Path, ahead: int = 80) -> None:
        super().__init__(storage, path, ahead)
        self._chance = random.Random(1)

    def make(self, number: int) -> list[Any]:
        payload = filler(number, self._chance.choice(SIZES))
        return [self.diary.path, number, self._chance.choice(SIZES), payload]

    def is_right(self, task: list[Any], value: Any) -> bool:
        _, number, size, data = task
        checksum, answer = value
        return bool(checksum == zlib.crc32(data) and answer == filler(number, size))
