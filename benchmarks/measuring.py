"""What all benchmarks share: measure in turn, tell the median with its spread.

Each benchmark makes tables and hands them to `main`, which reads the options and prints them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from figures import Row, Table
from interrupts import in_own_session
from machine import machine
from tables import text

__all__ = ["Options", "in_turn", "main", "rate", "timed"]


@dataclass(frozen=True)
class Options:
    """What the command line said.

    Attributes:
        seconds: how long one measurement is to take.
        quick: the tiniest counts: only to see that it runs.
    """

    rounds: int
    seconds: float
    quick: bool


def in_turn(rounds: int, ways: Mapping[str, Callable[[], float]], x: float | None = None) -> list[Row]:
    """Measure each way once a round; every other round from the last to the first."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            found[name].append(ways[name]())
    return [Row(name, figures, x) for name, figures in found.items()]


def rate(run: Callable[[int], float], seconds: float, most: int = 50_000) -> Callable[[], float]:
    """A way to measure how many a second, with a count that takes about ``seconds``.

    Warms up while it looks for that count.

    Args:
        run: does it so many times, and returns how many seconds that took.
        most: the largest count.
    """
    count = min(16, most)
    while (took := run(count)) < seconds / 4 and count < most:
        count = min(most, count * 4)
    count = max(1, min(most, round(count * seconds / took)))
    return lambda: count / run(count)


def timed(run: Callable[[], object]) -> float:
    """Seconds that it takes."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main(
    question: str | None,
    measure: Callable[[Options], Iterable[Table]],
    *,
    rounds: int = 5,
    seconds: float = 0.5,
) -> None:
    """Run one benchmark as a program: its tables to standard output, and to files if asked."""
    parser = argparse.ArgumentParser(description=question, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"for one measurement; default: {seconds}"
    )
    parser.add_argument("--quick", action="store_true", help="the tiniest counts: only to see that it runs")
    parser.add_argument("--plot", metavar="FILE.png", help="draw it")
    parser.add_argument("--json", metavar="FILE.json", help="all figures of all rounds, with the machine")
    said = parser.parse_args()
    if said.plot:
        import plots  # now, not when all is measured: it may not be installed
    in_own_session()
    options = Options(1, 0.01, True) if said.quick else Options(said.rounds, said.seconds, False)
    found = machine()
    print("\n".join(f"{name}: {value}" for name, value in found.items()), flush=True)
    if options.quick:
        print("quick: the figures mean nothing")
    tables = list(measure(options))
    for table in tables:
        print(f"\n{text(table)}", flush=True)
    if said.plot:
        plots.draw(tables, said.plot)
    if said.json:
        with open(said.json, "w", encoding="utf-8") as file:
            json.dump({"machine": found, "tables": [asdict(table) for table in tables]}, file, indent=1)
