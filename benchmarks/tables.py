"""Tables as text that is Markdown, too."""

from __future__ import annotations

from figures import OURS, Bar, Row, Table

__all__ = ["number", "ratio", "reached", "sentence", "text"]


def text(table: Table) -> str:
    """The table with its title, what was skipped, and whether the bars were reached."""
    parts = [f"**{table.title}** ({table.unit})", _grid(table)]
    if table.note:
        parts.append(table.note)
    if table.skipped:
        parts.append("Skipped: " + "; ".join(f"{name} ({why})" for name, why in table.skipped.items()) + ".")
    bars = [_verdict(table, bar) for bar in table.bars]
    return "\n\n".join([*parts, *(["\n".join(f"- {bar}" for bar in bars)] if bars else [])])


def _verdict(table: Table, bar: Bar) -> str:
    """One bar as a sentence: the figure or ratio, the bar, and whether it was reached."""
    found, unit = ratio(table, bar), "" if bar.than else f" {table.unit}"
    if found is None:
        return f"{sentence(table, bar)}: not measured (bar: {bar.sign} {bar.limit:g}{unit})"
    said = "holds" if reached(found, bar) else "does **not** hold"
    return f"{sentence(table, bar)}: {number(found)}{unit} (bar: {bar.sign} {bar.limit:g}{unit}), {said}"


def sentence(table: Table, bar: Bar) -> str:
    """What a bar is about."""
    what = _place(table, bar.name, bar.x)
    return f"{what} / {_place(table, bar.than, bar.than_x)}" if bar.than else what


def ratio(table: Table, bar: Bar) -> float | None:
    """What is to reach the bar; None where it was not measured."""
    row = table.row(bar.name, bar.x)
    if row is None or not bar.than:
        return row.median if row else None
    other = table.row(bar.than, bar.than_x)
    return row.median / other.median if other else None


def reached(found: float, bar: Bar) -> bool:
    """Whether a figure reaches its bar."""
    return found >= bar.limit if bar.sign == ">=" else found <= bar.limit


def number(value: float) -> str:
    """Three digits that count, in full."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _place(table: Table, name: str, x: float | None) -> str:
    return name if x is None else f"{name} at {x:,.12g} {table.axis}"


def _grid(table: Table) -> str:
    axis = [table.axis] if table.axis else []
    lines = [["", *axis, "median", "lowest", "highest", f"{OURS} / it"]]
    lines += [_cells(table, row) for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(
        f"| {' | '.join(map(_pad, line, widths, range(len(line))))} |"
        for line in [lines[0], rule, *lines[1:]]
    )


def _pad(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)


def _cells(table: Table, row: Row) -> list[str]:
    ours = table.row(OURS, row.x)
    times = number(ours.median / row.median) if ours and row.median and row is not ours else ""
    place = [] if row.x is None else [f"{row.x:,.12g}"]
    return [row.name, *place, *map(number, (row.median, min(row.figures), max(row.figures))), times]
