"""How much of a CPU do four workers take that have nothing to do?

Counted are the workers, and what watches them in the process that started them, while nothing is
queued. All ways are idle in the same seconds, each in a process of its own.

    python benchmarks/idle.py [--rounds N] [--seconds S] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil

from figures import OURS, Bar, Row, Table
from measuring import Options, main
from peers import PEERS
from tasks import same, through, working

WORKERS = 4
SETTLING = 2.0  # seconds for all that start to have started


def measure(options: Options) -> Iterator[Table]:
    with ExitStack() as stack:
        started = {name: stack.enter_context(apart(name)) for name in (OURS, *PEERS)}
        idle = {name: psutil.Process(it.pid) for name, it in started.items() if is_ready(it)}
        skipped = {name: "missing" for name in started if name not in idle}
        time.sleep(0 if options.quick else SETTLING)
        found: dict[str, list[float]] = {name: [] for name in idle}
        for _ in range(options.rounds):
            before = {name: used(process) for name, process in idle.items()}
            begin = time.perf_counter()
            time.sleep(options.seconds)
            seconds = time.perf_counter() - begin
            for name, process in idle.items():
                found[name].append(100 * (used(process) - before[name]) / seconds)
    yield Table(
        f"CPU of {WORKERS} idle workers and what watches them",
        "% of one CPU",
        [Row(name, figures) for name, figures in found.items()],
        [Bar("<=", 1)],
        skipped=skipped,
    )


def used(process: psutil.Process) -> float:
    """Seconds of CPU that a process and its children have used."""
    return sum(map(_seconds, [process, *process.children(recursive=True)]))


def _seconds(process: psutil.Process) -> float:
    try:
        threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text("ascii").split()[0]) for thread in threads) / 1e9
    except OSError:
        pass  # the kernel does not count nanoseconds
    times = process.cpu_times()
    return times.user + times.system


def apart(name: str) -> subprocess.Popen[bytes]:
    """A process with idle workers, to be used by ``with``: that closes its input, which ends it."""
    command = [sys.executable, __file__, "--alone", name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def is_ready(process: subprocess.Popen[bytes]) -> bool:
    """Whether its workers wait; False where a peer is missing."""
    assert process.stdout
    return bool(process.stdout.readline())


def alone(name: str) -> None:
    """In that process: start the workers, have each run something, and do nothing until told to end."""
    with ExitStack() as stack:
        if name == OURS:
            queue = stack.enter_context(working(same, WORKERS))
            list(through(queue, range(1000)))
        else:
            peer = stack.enter_context(PEERS[name](WORKERS))
            list(peer.map(same, range(100)))
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--alone"]:
        try:
            alone(sys.argv[2])
        except (ImportError, BrokenPipeError):  # missing; or nobody listens any more
            sys.stdout = None
    else:
        main(__doc__, measure, rounds=5, seconds=4)
