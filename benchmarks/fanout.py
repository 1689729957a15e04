"""How many tasks a second, each with its own result?

No-op tasks, two workers, one task and one result each: ``push_bulk`` and ``wait_for``, with nothing
put together by the caller, beside the pools with ``chunksize=1``. All are started once, warmed up,
and measured in turn, several rounds, in one run.

    python benchmarks/fanout.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from figures import Bar, Table
from ipcq import MemoryStorage
from ipcq.backends.memory import COMPILED
from measuring import Options, in_turn, main, rate, timed
from peers import Peer, opened
from tasks import same, through, working

WORKERS = 2
CALL = "bare call, one process"
Way = Callable[[range], Iterable[int]]


def measure(options: Options) -> Iterator[Table]:
    with ExitStack() as stack:
        ways: dict[str, Way] = {
            "ipcq": of_queue(stack.enter_context(working(same, WORKERS, prefetch=16))),
            "ipcq, prefetch=1": of_queue(stack.enter_context(working(same, WORKERS))),
        }
        peers, skipped = opened(stack, WORKERS)
        ways.update({name: of_peer(peer) for name, peer in peers.items()})
        ways[CALL] = lambda numbers: [same(number) for number in numbers]
        measured = {name: rate(seconds_of(way), options.seconds) for name, way in ways.items()}
        rows = in_turn(options.rounds, measured)
    yield Table(
        f"Fan-out of no-op tasks, {WORKERS} workers",
        "tasks/s",
        rows,
        [
            Bar(">=", 4 if COMPILED else 1, than="multiprocessing.Pool"),
            Bar(">=", 20 if COMPILED else 5, than="ProcessPoolExecutor"),
        ],
        skipped=skipped,
        note="ipcq with prefetch=16; the pools with chunksize=1, joblib with batch_size=1.",
        floors=[CALL],
    )


def of_queue(queue: MemoryStorage) -> Way:
    return lambda numbers: through(queue, numbers)


def of_peer(peer: Peer) -> Way:
    return lambda numbers: peer.map(same, numbers)


def seconds_of(way: Way) -> Callable[[int], float]:
    """Seconds for so many tasks; every result must have come."""

    def run(count: int) -> float:
        totals = []
        seconds = timed(lambda: totals.append(sum(way(range(count)))))
        assert totals == [count * (count - 1) // 2]
        return seconds

    return run


if __name__ == "__main__":
    main(__doc__, measure, rounds=11)
