"""How long after a worker was killed does its task run again?

One of two workers runs a task and gets SIGKILL. Measured is the time from there to the task's next
start, in another worker. The pools beside it lose the task: there the caller has to notice the
exception, and to submit the task again, to a new executor if the old one is broken; both are in it.
``multiprocessing.Pool`` and mpire are not here: the first never tells, the second ends all its work.

    python benchmarks/recovery.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from figures import Bar, Table
from losses import WAYS, Way
from measuring import Options, in_turn, main

_LIMIT = 60.0  # seconds for a task to start


def measure(options: Options) -> Iterator[Table]:
    skipped = {}
    logging.getLogger("ipcq").setLevel(logging.CRITICAL)  # that workers are killed is no news
    with ExitStack() as stack:
        listener = stack.enter_context(Listener())
        ways = {}
        for name, opened in WAYS.items():
            try:
                ways[name] = listener.kills(stack.enter_context(opened()))
            except ImportError as error:
                skipped[name] = str(error)
        rows = in_turn(options.rounds, ways)
    yield Table(
        "From SIGKILL of a worker to the task running again",
        "ms",
        rows,
        [Bar("<=", 50), Bar("<=", 1500, name="ipcq, no Monitor")],
        skipped=skipped,
        note=(
            "Two workers, the other one is free; in the second row the only one, which is started again. With"
            " the pools it is the caller who catches the exception and submits the task again."
        ),
    )


class Listener:
    """Hears from tasks that they started, and kills their workers."""

    def __enter__(self) -> Listener:
        with ExitStack() as stack:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            self._path = os.path.join(directory, "run")
            self._socket = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            self._socket.bind(f"{self._path}.socket")
            self._socket.settimeout(_LIMIT)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def kills(self, way: Way) -> Callable[[], float]:
        """A way to measure milliseconds from a kill to the next start of the task."""

        def once() -> float:
            way.prepare()
            with open(self._path, "w", encoding="ascii"):
                pass
            try:
                way.submit(self._path)
                victim, _ = self._hear()
                killed = time.monotonic()
                os.kill(victim, signal.SIGKILL)
                way.notice(self._path)
                _, started = self._hear()
            finally:
                os.unlink(self._path)  # whatever runs, ends
            way.finish()
            return 1e3 * (started - killed)

        return once

    def _hear(self) -> tuple[int, float]:
        pid, moment = self._socket.recv(100).split()
        return int(pid), float(moment)


if __name__ == "__main__":
    main(__doc__, measure, rounds=15)
