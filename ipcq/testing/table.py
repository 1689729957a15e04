"""The capability table, made from what the contract found out: ``python -m ipcq.testing.table [--write]``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from .columns import COLUMNS, Column
from .kit import check_backend

__all__ = ["PAGES", "ROWS", "main", "measure", "parse", "render", "replace"]

ROWS = (
    "Backend",
    "ConfigExt",
    "TaskSink",
    "WeakTaskSink",
    "FetchById",
    "Update",
    "Reschedule",
    "ResumeById",
    "ResumeAbandoned",
    "RegisterWorker",
    "ListQueues",
    "ListWorkers",
    "ListTasks",
    "ListAllTasks",
    "Metrics",
    "Histograms",
    "Cancel",
    "EndRun",
    "AskWorker",
    "ShareLimits",
    "Vacuum",
    "WaitForCompletion",
    "ShowProgress",
    "Expose",
    "TaskStream",
    "TaskResult",
    "Codec",
)
"""What a backend has, or has not; in the order of the specification."""

PAGES = ("README.md", "docs/backends.md")
"""Where the table stands, between its two marks."""

_START, _END = "<!-- capabilities -->", "<!-- /capabilities -->"
_SHM = "/dev/shm"  # a file system in memory, where there is one: hundreds of queues are made and removed

Table = Mapping[str, frozenset[str]]
"""Of each backend, what it has."""


def measure(columns: Mapping[str, Column] = COLUMNS) -> dict[str, frozenset[str]]:
    """Run the whole contract against each backend; what each one has.

    Raises:
        AssertionError: a backend does not do what it says that it can.
    """
    found = {}
    for name, column in columns.items():
        with tempfile.TemporaryDirectory(
            prefix="ipcq-table-", dir=_SHM if os.access(_SHM, os.W_OK) else None
        ) as place:
            report = check_backend(column(Path(place)))
        sys.stderr.write(f"{name}: {report!r}\n")
        report.raise_for_failures()
        found[name] = report.supported()
    return found


def render(table: Table) -> list[str]:
    """The table as lines of Markdown."""
    lines = [_line(["capability", *table]), _line(["---"] * (len(table) + 1))]
    for row in ROWS:
        cells = ["yes" if row in has else "no" for has in table.values()]
        lines.append(_line([f"`{row}`", *cells]))
    return lines


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def parse(page: str) -> dict[str, frozenset[str]]:
    """The table that a page shows.

    Raises:
        ValueError: it shows none.
    """
    if _START not in page or _END not in page:
        raise ValueError(f"the page has no {_START} and {_END}: put them where the table is to stand")
    lines = page.partition(_START)[2].partition(_END)[0].strip().splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    names = rows[0][1:] if rows else []
    return {
        name: frozenset(row[0] for row in rows[2:] if row[at] == "yes") for at, name in enumerate(names, 1)
    }


def replace(page: str, table: Table) -> str:
    """The page with this table between the marks."""
    parse(page)
    before, _, rest = page.partition(_START)
    after = rest.partition(_END)[2]
    return "\n".join([f"{before}{_START}", *render(table), f"{_END}{after}"])


def main(arguments: list[str] | None = None) -> None:
    """Print the table, or put it into the pages."""
    parser = argparse.ArgumentParser("python -m ipcq.testing.table", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"put it into {' and '.join(PAGES)}, too")
    asked = parser.parse_args(arguments)
    table = measure()
    sys.stdout.write("\n".join([*render(table), ""]))
    for name in PAGES if asked.write else ():
        page = Path(name)
        page.write_text(replace(page.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
