"""Kills processes at a steady pace."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Sequence
from types import TracebackType

EVERY = 0.05  # seconds between two kills


class Killer:
    """While entered, a thread sends SIGKILL to one of ``victims()`` every 50 ms.

    Args:
        seed: of its choices.
        stops: how many of ten victims are stopped for up to a second instead, and continued.

    Attributes:
        killed: process ids.
    """

    def __init__(
        self, victims: Callable[[], Sequence[int]], seed: int, *, stops: int = 0, every: float = EVERY
    ) -> None:
        self.killed: set[int] = set()
        self.stopped = 0
        self._victims, self._stops, self._every = victims, stops, every
        self._random = random.Random(seed)
        self._asleep: dict[int, int] = {}  # process -> how many kills until it is continued
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for pid in self._asleep:
            _send(pid, signal.SIGCONT)

    def _run(self) -> None:
        while not self._over.wait(self._every):
            self._continue()
            victims = self._victims()
            if victims:
                self._choose(self._random.choice(victims))

    def _choose(self, pid: int) -> None:
        if self._random.randrange(10) >= self._stops:
            if _send(pid, signal.SIGKILL):
                self.killed.add(pid)
        elif pid not in self._asleep and _send(pid, signal.SIGSTOP):
            self._asleep[pid] = self._random.randint(1, 20)
            self.stopped += 1

    def _continue(self) -> None:
        for pid in list(self._asleep):
            self._asleep[pid] -= 1
            if not self._asleep[pid]:
                del self._asleep[pid]
                _send(pid, signal.SIGCONT)


def _send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
