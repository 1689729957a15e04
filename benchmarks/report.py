"""Put the figures of a directory of results into docs/performance.md.

What stands between ``<!-- NAME -->`` and ``<!-- /NAME -->`` is replaced; the plots go into a directory
beside the page, named as the page.

    python benchmarks/report.py RESULTS [--page FILE.md]
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from all import NAMES
from figures import OURS, Bar, Row, Table
from tables import number, ratio, reached, sentence, text

_PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("results", type=Path, metavar="RESULTS", help="written by benchmarks/all.py")
    parser.add_argument("--page", type=Path, default=_PAGE, help="default: docs/performance.md")
    said = parser.parse_args()
    found = {name: file for name in NAMES if (file := said.results / f"{name}.json").exists()}
    read = {name: json.loads(file.read_text("utf-8")) for name, file in found.items()}
    tables = {name: [table(said) for said in result["tables"]] for name, result in read.items()}
    parts = {
        "machine": machine([result["machine"] for result in read.values()]),
        "bars": bars([each for some in tables.values() for each in some]),
        "losses": losses([each for some in tables.values() for each in some]),
        **{name: "\n\n".join(map(text, some)) for name, some in tables.items()},
    }
    for name in found:
        plot = said.results / f"{name}.png"
        if plot.exists():
            pictures = said.page.with_suffix("")
            pictures.mkdir(exist_ok=True)
            shutil.copy(plot, pictures / plot.name)
            parts[name] += f"\n\n![{tables[name][0].title}]({pictures.name}/{plot.name})"
    said.page.write_text(filled(said.page.read_text("utf-8"), parts), "utf-8")


def table(said: dict[str, Any]) -> Table:
    """As it was before it was written."""
    rows, limits = [Row(**row) for row in said.pop("rows")], [Bar(**bar) for bar in said.pop("bars")]
    return Table(rows=rows, bars=limits, **said)


def filled(page: str, parts: dict[str, str]) -> str:
    """The page with other text between its marks."""
    for name, part in parts.items():
        before, start, rest = page.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- /{name} -->")
        if not end:
            raise SystemExit(f"the page has no place for {name!r}: <!-- {name} --> and <!-- /{name} -->")
        page = f"{before}{start}\n{part}\n\n{end}{after}"
    return page


def machine(found: list[dict[str, str]]) -> str:
    """One line for each fact; the load from the lowest to the highest."""
    values = {name: sorted({each[name] for each in found}) for name in found[0]}
    return "\n".join(
        f"- {name}: {' to '.join(dict.fromkeys([some[0], some[-1]]))}" for name, some in values.items()
    )


def bars(tables: list[Table]) -> str:
    """What had to be reached, and whether it was."""
    lines = ["| what | compared | measured | bar | |", "| --- | --- | ---: | ---: | --- |"]
    for each in tables:
        for bar in each.bars:
            found = ratio(each, bar)
            shown = "" if found is None else number(found)
            verdict = (
                "not measured" if found is None else "holds" if reached(found, bar) else "**does not hold**"
            )
            lines.append(
                f"| {each.title} | {sentence(each, bar)} | {shown} | {bar.sign} {bar.limit:g} | {verdict} |"
            )
    return "\n".join(lines)


def losses(tables: list[Table]) -> str:
    """Where something else is better, with the factor."""
    lines = [f"- {each.title}: {', '.join(better)}" for each in tables if (better := list(_better(each)))]
    return "\n".join(lines) or "None in this run."


def _better(each: Table) -> Iterator[str]:
    for row in each.rows:
        ours = each.row(OURS, row.x)
        if ours is None or row.name.startswith(OURS) or row.name in each.floors:
            continue
        times = row.median / ours.median if each.more_is_better else ours.median / max(row.median, 1e-9)
        if times > 1:
            place = "" if row.x is None else f" at {row.x:,.12g} {each.axis}"
            yield f"{row.name}{place} ({number(row.median)} against {number(ours.median)} {each.unit})"


if __name__ == "__main__":
    main()
