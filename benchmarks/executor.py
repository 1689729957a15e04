"""What does a call through `ipcq.Executor` cost, beside `ProcessPoolExecutor`?

One call and its result; ``map`` of no-op calls one by one and by the hundred; an array of 64 MiB to a worker
and a float back, beside one copy of it in memory. ipcq is measured compiled here and, in the same rounds,
uncompiled in a process of its own.

    python benchmarks/executor.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import ExitStack, contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from figures import OURS, Bar, Table
from ipcq import Executor
from ipcq.backends.memory import COMPILED
from measuring import Options, in_turn, main, rate, timed
from tasks import PAGE, same

WORKERS = 2
POOL = "ProcessPoolExecutor"
PURE = "ipcq, uncompiled"
COPY = "one copy in memory"
TRIPS = 200
ARRAY_BYTES = 64 << 20
Way = Callable[[], float]
MAPS = {"1": 1, "100": 100}


def measure(options: Options) -> Iterator[Table]:
    with ExitStack() as stack:
        ours = stack.enter_context(executor())
        pool = stack.enter_context(
            futures.ProcessPoolExecutor(WORKERS, Executor(WORKERS)._mp_context)  # the same start method
        )
        pure = stack.enter_context(uncompiled(options)) if COMPILED else None
        for what, (title, unit, bars) in questions().items():
            ways = {OURS: way(ours, what, options), POOL: way(pool, what, options)}
            if pure is not None:
                ways[PURE] = lambda what=what: pure(what)  # type: ignore[misc]
            if what == "array":
                ways[COPY] = a_copy(an_array(options))
            for each in ways.values():
                each()
            yield Table(title, unit, in_turn(options.rounds, ways), bars, floors=[COPY])


def questions() -> dict[str, tuple[str, str, list[Bar]]]:
    """Of each measurement its title, its unit, and what must hold."""
    return {
        "trip": ("submit(same, 1).result(): the median", "µs", [Bar("<=", 0.2, than=POOL)]),
        "1": ("map of no-op calls, chunksize=1", "calls/s", [Bar(">=", 10, than=POOL)]),
        "100": ("map of no-op calls, chunksize=100", "calls/s", [Bar(">=", 1, than=POOL)]),
        "array": (
            "An array of 64 MiB to a worker, a float back",
            "ms",
            [Bar("<=", 1 / 12, than=POOL), Bar("<=", 1.3, than=COPY)],
        ),
    }


def way(pool: futures.Executor, what: str, options: Options) -> Way:
    """How one of the questions is measured on a pool."""
    if what == "trip":
        return lambda: median(trips(pool, 20 if options.quick else TRIPS))
    if what == "array":
        array = an_array(options)
        return lambda: 1e3 * timed(lambda: pool.submit(read, array).result())
    return rate(seconds_of(pool, MAPS[what]), options.seconds, most=2_000_000)


def trips(pool: futures.Executor, count: int) -> Iterator[float]:
    """How long each of so many calls took, in microseconds."""
    for _ in range(count):
        started = perf_counter()
        pool.submit(same, 1).result()
        yield (perf_counter() - started) * 1e6


def seconds_of(pool: futures.Executor, chunksize: int) -> Callable[[int], float]:
    """Seconds for so many calls; every result must have come."""

    def run(count: int) -> float:
        totals = []
        seconds = timed(lambda: totals.append(sum(pool.map(same, range(count), chunksize=chunksize))))
        assert totals == [count * (count - 1) // 2]
        return seconds

    return run


def an_array(options: Options) -> Any:
    return np.random.default_rng(1).random((1 << 20 if options.quick else ARRAY_BYTES) // 8)


def read(array: Any) -> float:
    """Read one number of each page."""
    return float(array[:: PAGE // array.itemsize].sum())


def a_copy(array: Any) -> Way:
    into = np.empty_like(array)
    return lambda: 1e3 * timed(lambda: np.copyto(into, array))


@contextmanager
def executor() -> Iterator[Executor]:
    with Executor(WORKERS) as made:
        yield made


# --- uncompiled ------------------------------------------------------------------------------------


@contextmanager
def uncompiled(options: Options) -> Iterator[Callable[[str], float]]:
    """A process with an executor that is not compiled; asked for a question, it measures once."""
    command = [sys.executable, __file__, "--answer", str(options.seconds), str(int(options.quick))]
    environment = {**os.environ, "IPCQ_PURE": "1", "IPCQ_REQUIRE_COMPILED": "0"}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asking, answers = process.stdin, process.stdout

    def ask(what: str) -> float:
        print(what, file=asking, flush=True)
        return float(answers.readline())

    try:
        yield ask
    finally:
        asking.close()
        process.wait()
        answers.close()


def answer(seconds: float, quick: bool) -> None:
    """Measure what each line of standard input asks for."""
    options = Options(1, seconds, quick)
    ways: dict[str, Way] = {}
    with executor() as ours:
        for line in sys.stdin:
            what = line.strip()
            if what not in ways:
                ways[what] = way(ours, what, options)
            print(ways[what](), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--answer"]:
        answer(float(sys.argv[2]), sys.argv[3] == "1")
    else:
        main(__doc__, measure, rounds=11)
