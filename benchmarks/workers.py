"""How many tasks a second with more and more workers?

No-op tasks, each with its own result, through 1 to 16 workers, so more than there are CPUs: the
harshest case for a queue, as the workers do nothing but come for the next task.

    python benchmarks/workers.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fanout import Way, of_peer, of_queue, seconds_of
from figures import OURS, Bar, Row, Table
from measuring import Options, main, rate
from peers import PEERS
from tasks import same, working

COUNTS = (1, 2, 4, 8, 16)
BESIDE = ("multiprocessing.Pool", "ProcessPoolExecutor")


def measure(options: Options) -> Iterator[Table]:
    ways = {OURS: ours, **{name: peer(name) for name in BESIDE}}
    found: dict[tuple[str, int], list[float]] = {(name, n): [] for name in ways for n in COUNTS}
    for number in range(options.rounds):
        for count in COUNTS[:: -1 if number % 2 else 1]:
            for name, way in ways.items():
                found[name, count].append(way(count, options.seconds))
    yield Table(
        "Fan-out of no-op tasks by number of workers",
        "tasks/s",
        [Row(name, figures, count) for (name, count), figures in found.items()],
        [Bar(">=", 0.7, x=16, than=OURS, than_x=2)],
        axis="workers",
        note="The workers are started anew for each figure; that is not in it.",
    )


def ours(workers: int, seconds: float) -> float:
    with working(same, workers, prefetch=16) as queue:
        return tasks_a_second(of_queue(queue), workers, seconds)


def peer(name: str) -> Callable[[int, float], float]:
    def of_workers(workers: int, seconds: float) -> float:
        with PEERS[name](workers) as pool:
            return tasks_a_second(of_peer(pool), workers, seconds)

    return of_workers


def tasks_a_second(way: Way, workers: int, seconds: float) -> float:
    """Of all workers; every one has run something before."""
    run = seconds_of(way)
    run(workers * 100)
    return rate(run, seconds)()


if __name__ == "__main__":
    main(__doc__, measure, rounds=7, seconds=0.4)
