"""How much memory does a task take that waits?

Many tasks of 100 bytes are pushed while the only worker is busy, each way in a process of its own.
Counted is what grows: the anonymous memory of that process, with the ids or futures that the caller
gets; and the shared memory that the queue of ipcq commits. Linux only.

    python benchmarks/memory.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil

from figures import OURS, Row, Table
from ipcq.directory import base_directory
from measuring import Options, main
from peers import PEERS
from tasks import a_queue, same

TASKS, PAYLOAD = 50_000, 100
SHARED, QUEUE = "ipcq, its shared memory", "multiprocessing.Queue"
POOLS = [name for name in PEERS if name != "joblib"]  # which submits only a few tasks ahead
_MISSING = 3  # exit code
Push = Callable[[Iterable[bytes]], object]


def measure(options: Options) -> Iterator[Table]:
    count = 100 if options.quick else TASKS
    found: dict[str, list[float]] = {}
    skipped: dict[str, str] = {}
    for _ in range(options.rounds):
        for name in (OURS, QUEUE, *POOLS):
            grown = apart(name, count)
            if not grown:
                skipped[name] = "missing"
            for row, size in grown.items():
                found.setdefault(row, []).append(size / count)
    yield Table(
        f"Memory of a waiting task of {PAYLOAD} bytes",
        "bytes",
        [Row(name, figures) for name, figures in found.items()],
        skipped=skipped,
        note=f"{count:,} tasks; with the ids or futures that the caller got.",
    )


def apart(name: str, count: int) -> dict[str, int]:
    """Bytes by row, found by a process of its own; nothing where a peer is missing."""
    command = [sys.executable, "-W", "ignore", __file__, "--alone", name, str(count)]
    done = subprocess.run(command, capture_output=True, check=False)  # workers cry when their pool is gone
    if done.returncode == _MISSING:
        return {}
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    sizes: dict[str, int] = json.loads(done.stdout)
    return sizes


def alone(name: str, count: int) -> None:
    """In that process: print how many bytes the tasks take."""
    with WAYS[name]() as (push, shared):
        push(payloads(100))  # what the first one takes is not counted
        before, shared_before = anonymous(), shared()
        held = push(payloads(count))
        time.sleep(0.2)  # threads may still be moving them
        own, common = anonymous() - before, shared() - shared_before
        del held
        print(json.dumps({name: own + common, SHARED: common} if name == OURS else {name: own}))


def payloads(count: int) -> Iterator[bytes]:
    return (number.to_bytes(PAYLOAD, "big") for number in range(count))


def anonymous() -> int:
    """Bytes of memory that this process has and no file."""
    gc.collect()
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("the kernel tells no RssAnon")


@contextmanager
def of_ipcq() -> Iterator[tuple[Push, Callable[[], int]]]:
    with a_queue() as queue:
        directory = Path(base_directory(), queue.queue)
        yield queue.push_bulk, lambda: sum(512 * file.stat().st_blocks for file in directory.rglob("*"))


@contextmanager
def of_queue() -> Iterator[tuple[Push, Callable[[], int]]]:
    queue: Any = get_context("spawn").Queue()
    queue.cancel_join_thread()  # what is left in it in the end is not wanted
    yield lambda items: [queue.put(item) for item in items], lambda: 0


def of_pool(name: str) -> Callable[[], Any]:
    @contextmanager
    def opened() -> Iterator[tuple[Push, Callable[[], int]]]:
        with PEERS[name](1) as peer:
            peer.call(same, 0)
            busy = peer.tell(outlive, os.getpid())
            yield lambda items: [peer.tell(same, item) for item in items], lambda: 0
            del busy
            end_at_once()

    return opened


def outlive(pid: int) -> None:
    """A task that runs for as long as a process."""
    while psutil.pid_exists(pid):
        time.sleep(0.1)


def end_at_once() -> None:
    """End without running all that waits, as the pools would."""
    sys.stdout.flush()
    for child in psutil.Process().children(recursive=True):
        try:
            if "resource_tracker" not in " ".join(child.cmdline()):  # which removes their semaphores
                child.kill()
        except psutil.Error:  # it has ended
            pass
    os._exit(0)


WAYS: dict[str, Callable[[], Any]] = {
    OURS: of_ipcq,
    QUEUE: of_queue,
    **{name: of_pool(name) for name in POOLS},
}


if __name__ == "__main__":
    if sys.argv[1:2] != ["--alone"]:
        main(__doc__, measure, rounds=3)
    else:
        try:
            alone(sys.argv[2], int(sys.argv[3]))
        except ImportError:
            sys.exit(_MISSING)
