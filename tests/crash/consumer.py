"""Whoever waits for what producers pushed, and checks it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ipcq import TaskId
from ipcq.backend import WaitForCompletion

PATIENCE = 120.0  # seconds for all to finish once the killing is over


class Consumer:
    """Waits for what producers noted as accepted, and checks each value.

    Args:
        accepted: the file with a line for each task: its number and id.
        is_right: compares a task's number with its value.
    """

    def __init__(
        self, storage: WaitForCompletion, accepted: Path, is_right: Callable[[int, Any], bool]
    ) -> None:
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
