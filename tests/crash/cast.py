"""Programs of which one is killed at random and started again, over and over."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import psutil

from .roles import Program

_PATIENCE = 10.0  # seconds for a killed program's children to be gone


class Cast:
    """While entered, keeps programs running, but kills one of them every now and then.

    Args:
        starts: each starts one program.
        seed: of the choices and of the moments.
        pause: most seconds from one kill to the next.

    Attributes:
        kills: how many.
        slowest: most seconds from a program's kill until its child processes were gone.
        outlived: children that were not.
    """

    def __init__(self, starts: Sequence[Callable[[], Program]], seed: int, pause: float) -> None:
        self.kills = 0
        self.slowest = 0.0
        self.outlived: list[psutil.Process] = []
        self._starts, self._pause = starts, pause
        self._random = random.Random(seed)
        self._programs: list[Program] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cast")

    def __enter__(self) -> Cast:
        self._programs += [start() for start in self._starts]
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for program in self._programs:
            self._kill(program)

    def _run(self) -> None:
        while not self._over.wait(self._random.uniform(0, self._pause)):
            place = self._random.randrange(len(self._programs))
            self._kill(self._programs[place])
            self._programs[place] = self._starts[place]()

    def _kill(self, program: Program) -> None:
        children = psutil.Process(program.pid).children(recursive=True)
        killed = time.monotonic()
        program.kill()
        program.wait()
        self.kills += 1
        while any(map(_lives, children)) and time.monotonic() < killed + _PATIENCE:
            time.sleep(0.005)
        self.outlived += filter(_lives, children)
        self.slowest = max(self.slowest, time.monotonic() - killed if children else 0.0)


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
