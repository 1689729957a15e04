"""What does a task cost when many others wait?

Tasks are pushed a hundred at a time to a queue in which 10^3 to 10^6 wait already, and as many are
taken from its front and finished, in one process: the time a task takes, without any parallelism.

    python benchmarks/length.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any

from figures import OURS, Bar, Row, Table
from measuring import Options, in_turn, main, rate, timed
from tasks import a_queue

BATCH = 100
PAYLOAD = b"x" * 20  # lies in the task's own place
Step = Callable[[], None]


def measure(options: Options) -> Iterator[Table]:
    lengths = (10, 100) if options.quick else (1_000, 10_000, 100_000, 1_000_000)
    with ExitStack() as stack:
        ways: dict[str, Callable[[], float]] = {}
        places: dict[str, tuple[str, int]] = {}
        for name, way in WAYS.items():
            for length in lengths:
                key = f"{name} {length}"
                step = stack.enter_context(way(length))
                ways[key], places[key] = microseconds(step, options.seconds), (name, length)
        rows = [
            Row(places[row.name][0], row.figures, places[row.name][1])
            for row in in_turn(options.rounds, ways)
        ]
    yield Table(
        "Push, take and finish a task while others wait",
        "µs",
        rows,
        [Bar("<=", 1.3, x=lengths[-1], than=OURS, than_x=lengths[0])],
        axis="tasks waiting",
        note="multiprocessing.Queue keeps what waits in the memory of the process that put it.",
    )


def microseconds(step: Step, seconds: float) -> Callable[[], float]:
    """How long one task takes."""

    def repeat(count: int) -> None:
        for _ in range(count):
            step()

    steps = rate(lambda count: timed(lambda: repeat(count)), seconds)
    return lambda: 1e6 / BATCH / steps()


@contextmanager
def of_ipcq(length: int) -> Iterator[Step]:
    with a_queue(codec="raw", capacity=length + 4 * BATCH) as queue, queue.register_worker("taker") as lease:
        queue.push_stream((PAYLOAD for _ in range(length)), batch=1000, keep_result=False)
        stream = queue.poll(lease, prefetch=16)

        def step() -> None:
            queue.push_bulk([PAYLOAD] * BATCH, keep_result=False)
            for _ in range(BATCH):
                task = next(stream)
                assert task is not None
                lease.finish(task, None)

        yield step


@contextmanager
def of_queue(length: int) -> Iterator[Step]:
    queue: Any = get_context("spawn").Queue()
    queue.cancel_join_thread()  # what is left in it in the end is not wanted

    def step() -> None:
        for _ in range(BATCH):
            queue.put(PAYLOAD)
        for _ in range(BATCH):
            queue.get()

    for _ in range(length):
        queue.put(PAYLOAD)
    yield step
    queue.close()


WAYS: dict[str, Callable[[int], AbstractContextManager[Step]]] = {
    OURS: of_ipcq,
    "multiprocessing.Queue": of_queue,
}


if __name__ == "__main__":
    main(__doc__, measure, rounds=7, seconds=0.3)
