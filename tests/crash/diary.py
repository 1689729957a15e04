"""What handlers did, in a file that survives them: one appended line before each run, one after."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .notes import Notes


@contextmanager
def noted(path: str, number: int) -> Iterator[None]:
    """Tell that task ``number`` is run by this process, and that the run came to its end."""
    _append(path, f"+ {number} {os.getpid()} {time.monotonic_ns()}")
    yield
    _append(path, f"- {number} {os.getpid()} {time.monotonic_ns()}")


def _append(path: str, line: str) -> None:
    notes = Notes(path)
    try:
        notes(line)
    finally:
        notes.close()


class Run(NamedTuple):
    """One start of a handler; moments are seconds of `time.monotonic`."""

    number: int
    pid: int
    began: float


class Diary:
    """What was noted so far."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        Path(path).touch()

    def runs(self) -> list[Run]:
        """All starts, in the order in which they came."""
        whole = Path(self.path).read_text("ascii").rpartition("\n")[0]  # a line may just be written
        lines = [line.split() for line in whole.splitlines() if line.startswith("+")]
        return [Run(int(number), int(pid), int(at) / 1e9) for _, number, pid, at in lines]

    def await_run(self, number: int, count: int = 1, *, within: float = 30.0) -> Run:
        """The ``count``-th run of a task, once there is one."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            runs = [run for run in self.runs() if run.number == number]
            if len(runs) >= count:
                return runs[count - 1]
            time.sleep(0.002)
        raise AssertionError(f"task {number} was not run {count} times within {within:g} s")

    def check(self, numbers: Iterable[int], killed: set[int]) -> int:
        """Fail unless each of these tasks was run; and any again only if its process was killed in it.

        A process runs one task at a time, so only the last one that it began may be repeated.

        Returns:
            How many runs were repetitions.
        """
        runs = self.runs()
        pids: dict[int, list[int]] = defaultdict(list)
        last: dict[int, int] = {}
        for run in runs:
            pids[run.number].append(run.pid)
            last[run.pid] = run.number
        missing = set(numbers) - set(pids)
        assert not missing, f"{len(missing)} tasks were never run: {sorted(missing)[:5]}"
        for number, where in pids.items():
            for pid in where[:-1]:
                assert pid in killed, f"task {number} was repeated though process {pid} was not killed"
                assert last[pid] == number, f"task {number} was repeated; process {pid} ran {last[pid]} then"
        return len(runs) - len(pids)
