"""How many tasks a second, each with its own result, against the pools of the standard library?

No-op tasks, two workers, one task and one result each: ``push_bulk`` and ``wait_for``, with nothing
put together by the caller; ``multiprocessing.Pool.imap_unordered(chunksize=1)``;
``ProcessPoolExecutor.map(chunksize=1)``. All are started once, warmed up, and measured in turn,
several rounds, in one run.

    python benchmarks/fanout.py [--rounds 7] [--workers 2] [--prefetch 16]
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from statistics import median

from ipcq import MemoryStorage, Monitor

BARS = {"Pool.imap_unordered": 1.0, "ProcessPoolExecutor.map": 5.0}


def same(number: int) -> int:
    return number


def through_ipcq(queue: MemoryStorage, count: int) -> Iterable[int]:
    for result in queue.wait_for(queue.push_bulk(range(count))):
        yield result.unwrap()


def rate(run: Callable[[int], Iterable[int]], count: int) -> float:
    """Tasks a second; every result must have come."""
    started = time.perf_counter()
    total = sum(run(count))
    seconds = time.perf_counter() - started
    assert total == count * (count - 1) // 2
    return count / seconds


def measure(options: argparse.Namespace) -> dict[str, list[float]]:
    """Rates of each way, by round."""
    spawn = get_context("spawn")
    with ExitStack() as stack:
        queue = stack.enter_context(MemoryStorage(f"bench-{secrets.token_hex(4)}", ephemeral=True))
        stack.callback(queue.destroy, force=True)
        stack.enter_context(Monitor(queue, same, workers=options.workers, prefetch=options.prefetch))
        pool = stack.enter_context(spawn.Pool(options.workers))
        executor = stack.enter_context(ProcessPoolExecutor(options.workers, mp_context=spawn))
        ways: dict[str, tuple[Callable[[int], Iterable[int]], int]] = {
            "ipcq": (lambda count: through_ipcq(queue, count), 20_000),
            "Pool.imap_unordered": (lambda count: pool.imap_unordered(same, range(count)), 20_000),
            "ProcessPoolExecutor.map": (lambda count: executor.map(same, range(count)), 4_000),
        }
        for run, count in ways.values():
            rate(run, count // 10)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, (run, count) in ways.items():
                rates[name].append(rate(run, count))
        return rates


def report(rates: dict[str, list[float]]) -> None:
    ours = median(rates["ipcq"])
    print(f"{'':26}{'tasks/s':>10}{'lowest':>10}{'highest':>10}{'ipcq / it':>12}{'bar':>7}")
    for name, found in rates.items():
        ratio = f"{ours / median(found):.2f}" if name in BARS else ""
        bar = f"{BARS[name]:.1f}" if name in BARS else ""
        print(f"{name:26}{median(found):10,.0f}{min(found):10,.0f}{max(found):10,.0f}{ratio:>12}{bar:>7}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--prefetch", type=int, default=16)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(
        f"Python {sys.version.split()[0]}, {len(os.sched_getaffinity(0))} CPUs, load {load:.1f} before the"
        f" start, {options.workers} workers, prefetch {options.prefetch}, {options.rounds} rounds in turn"
    )
    report(measure(options))


if __name__ == "__main__":
    main()
