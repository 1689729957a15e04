"""Tables as pictures: bars with their spread, or lines along the axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from figures import OURS, Row, Table
from tables import number

try:
    import matplotlib as mpl

    mpl.use("Agg")  # files only
    from matplotlib import pyplot as plt
except ImportError as missing:
    raise SystemExit("plots need matplotlib: pip install -e '.[bench]'") from missing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw"]

_COLOUR, _OTHERS, _FLOORS = "#c0392b", "#7f8c8d", "#d5dbdb"
_LARGE = 20  # a ratio above this needs a logarithmic scale


def draw(tables: Sequence[Table], path: str) -> None:
    """Write a PNG with one picture for each table, one under the other."""
    heights = [4.2 if table.axis else 1.3 + 0.42 * len(table.rows) for table in tables]
    figure, grid = plt.subplots(
        len(tables), figsize=(8, sum(heights)), height_ratios=heights, squeeze=False, layout="constrained"
    )
    for table, axes in zip(tables, grid[:, 0], strict=True):
        (_lines if table.axis else _bars)(table, axes)
        axes.set_title(table.title, loc="left", fontsize=11, fontweight="bold")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _spread(rows: Sequence[Row]) -> list[list[float]]:
    """How far the lowest and the highest figure are from the median, as matplotlib wants it."""
    return [[row.median - min(row.figures) for row in rows], [max(row.figures) - row.median for row in rows]]


def _bars(table: Table, axes: Axes) -> None:
    rows = table.rows
    medians = [row.median for row in rows]
    colours = [_colour(table, row) for row in rows]
    axes.barh(
        [row.name for row in rows], medians, xerr=_spread(rows), color=colours, ecolor="black", capsize=3
    )
    axes.invert_yaxis()
    logarithmic = max(medians) > _LARGE * min(value for value in medians if value > 0)
    if logarithmic:
        axes.set_xscale("log")
    axes.set_xlabel(f"{table.unit}{', logarithmic' if logarithmic else ''}; black: lowest to highest round")
    for place, row in enumerate(rows):
        axes.annotate(
            number(row.median),
            (max(row.figures), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
        )
    axes.margins(x=0.12)


def _colour(table: Table, row: Row) -> str:
    if row.name in table.floors:
        return _FLOORS
    return _COLOUR if row.name.startswith(OURS) else _OTHERS


def _lines(table: Table, axes: Axes) -> None:
    for name in dict.fromkeys(row.name for row in table.rows):
        rows = [row for row in table.rows if row.name == name]
        axes.errorbar(
            [row.x for row in rows if row.x is not None],
            [row.median for row in rows],
            yerr=_spread(rows),
            label=name,
            marker="o",
            capsize=3,
            color=_COLOUR if name == OURS else None,
            linewidth=2.5 if name == OURS else 1.2,
        )
    places = sorted({row.x for row in table.rows if row.x is not None})
    axes.set_xscale("log", base=2 if places[-1] < 100 else 10)
    axes.set_xticks(places, [f"{place:,g}" for place in places])
    axes.set_xlabel(table.axis)
    axes.set_ylabel(table.unit)
    medians = [row.median for row in table.rows]
    if max(medians) > _LARGE * min(medians):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
