"""All benchmarks, one after the other: their figures and plots go into a directory.

For a machine that does nothing else. Options but these go to each benchmark.

    python benchmarks/all.py RESULTS [--only NAME ...] [--rounds N] [--quick]
    python benchmarks/report.py RESULTS
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from interrupts import INTERRUPTED, run

__all__ = ["NAMES"]

NAMES = (
    "fanout", "round_trip", "transport", "payload", "workers",
    "length", "recovery", "idle", "memory", "importing", "executor", "pipe", "overhead",
)  # fmt: skip
_QUIET = 0.3  # load that a machine has by itself


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a directory, made if it is not there")
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=", ".join(NAMES)
    )
    said, others = parser.parse_known_args()
    said.results.mkdir(parents=True, exist_ok=True)
    if os.getloadavg()[0] > _QUIET:
        print(f"load {os.getloadavg()[0]:.2f}: not a quiet machine; others' work will be in the figures\n")
    failed = []
    for name in said.only:
        code = measure(name, said.results, others)
        if code == INTERRUPTED:
            return code
        if code:
            failed.append(name)
    print(
        f"failed: {', '.join(failed)}" if failed else f"all done; python benchmarks/report.py {said.results}"
    )
    return 1 if failed else 0


def measure(name: str, results: Path, others: list[str]) -> int:
    """One of them; its exit code."""
    files = ["--json", str(results / f"{name}.json"), "--plot", str(results / f"{name}.png")]
    print(f"=== {name}", flush=True)
    started = time.monotonic()
    code = run([sys.executable, str(Path(__file__).parent / f"{name}.py"), *files, *others])
    print(f"({time.monotonic() - started:.0f} s)\n", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
