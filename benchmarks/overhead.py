"""What does a worker cost a task, beside the queue and the handler?

No-op tasks that wait already, taken and finished in one process: by a bare loop over ``poll``; by a `Worker`
with what it always has around a handler (the acknowledgement, the door for a forced stop); and with `Retry`
and a limit of time beside these, as under a `Monitor`. The row of ipcq is the
difference of the first two, round by round.

    python benchmarks/overhead.py [--rounds N] [--seconds S] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from figures import OURS, Bar, Row, Table
from ipcq import Limits, MemoryStorage, Worker
from ipcq.layer import Layer
from ipcq.layers import Retry
from ipcq.limits.board import Board
from ipcq.limits.layer import RunLimit
from measuring import Options, in_turn, main, timed
from tasks import a_queue

PREFETCH = 16
BARE = "a bare loop over poll"
WORKER = "a Worker"
MORE = "a Worker with Retry and a limit of time"


def measure(options: Options) -> Iterator[Table]:
    count = 100 if options.quick else round(40_000 * options.seconds)
    board = Board()
    limit = RunLimit(board, Limits(timeout=60.0), lambda: None)
    with a_queue(codec="raw", capacity=2 * count) as queue:
        ways: dict[str, Callable[[], float]] = {
            BARE: lambda: each(queue, count, bare),
            WORKER: lambda: each(queue, count, by_worker([])),
            MORE: lambda: each(queue, count, by_worker([limit, Retry()])),
        }
        for way in ways.values():
            way()
        rows = in_turn(options.rounds, ways)
    board.close()
    found = {row.name: row.figures for row in rows}
    cost = [mine - floor for mine, floor in zip(found[WORKER], found[BARE], strict=True)]
    yield Table(
        "What a worker adds to a task",
        "µs",
        [Row(OURS, cost), *rows],
        [Bar("<=", 5)],
        note="The first row is the difference of the second and the third, round by round.",
        floors=[BARE],
    )


def each(queue: MemoryStorage, count: int, run: Callable[[MemoryStorage, int], None]) -> float:
    """Microseconds that one task takes."""
    queue.push_bulk([b""] * count, keep_result=False)
    return 1e6 / count * timed(lambda: run(queue, count))


def same(args: Any) -> Any:
    return args


def bare(queue: MemoryStorage, count: int) -> None:
    with queue.register_worker("bare") as lease:
        stream = queue.poll(lease, prefetch=PREFETCH)
        for _ in range(count):
            task = next(stream)
            assert task is not None
            lease.finish(task, same(task.args))


def by_worker(layers: Sequence[Layer]) -> Callable[[MemoryStorage, int], None]:
    def run(queue: MemoryStorage, count: int) -> None:
        worker = _Counting("w", queue, same, layers=layers, prefetch=PREFETCH)
        worker.most = count
        worker.run()

    return run


class _Counting(Worker):
    """Ends after so many tasks: one that looks until there is none waits for a while in the end."""

    most = 0

    def progressed(self) -> None:
        if self.tasks == self.most:
            self.stop()


if __name__ == "__main__":
    main(__doc__, measure, rounds=9, seconds=0.5)
