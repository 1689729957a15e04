"""How long does the import take?

Each in a new interpreter, which measures its own ``import``; all modules are compiled and in the page
cache.

    python benchmarks/importing.py [--rounds N] [--plot FILE.png] [--json FILE.json]
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec

from figures import Bar, Table
from measuring import Options, in_turn, main

STANDARD = "concurrent.futures.process"
IMPORTS = {
    "ipcq": "import ipcq",
    "ipcq, MemoryStorage and Monitor": "from ipcq import MemoryStorage, Monitor",
    STANDARD: f"import {STANDARD}",
    "multiprocessing.pool": "import multiprocessing.pool",
    "loky": "import loky",
    "joblib": "import joblib",
    "mpire": "import mpire",
    "pebble": "import pebble",
}
_PROGRAM = """
from time import perf_counter
started = perf_counter()
{}
print(perf_counter() - started)
"""


def measure(options: Options) -> Iterator[Table]:
    missing = [name for name in IMPORTS if find_spec(name.partition(",")[0].partition(".")[0]) is None]
    ways = {name: importing(line) for name, line in IMPORTS.items() if name not in missing}
    for way in ways.values():
        way()
    yield Table(
        "Import",
        "ms",
        in_turn(options.rounds, ways),
        [Bar("<=", 1.5, than=STANDARD)],
        skipped=dict.fromkeys(missing, "missing"),
        note="`import ipcq` leaves out what is needed later only; the second row is what a program uses.",
    )


def importing(line: str) -> Callable[[], float]:
    """Milliseconds that a line takes in a new interpreter."""
    command = [sys.executable, "-c", _PROGRAM.format(line)]
    return lambda: 1e3 * float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    main(__doc__, measure, rounds=25)
