"""What was measured, and what it must reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["OURS", "Bar", "Row", "Table"]

OURS = "ipcq"


@dataclass(frozen=True)
class Row:
    """One way to do it.

    Attributes:
        figures: one for each round.
        x: where it stands on the table's axis; None in a table without one.
    """

    name: str
    figures: list[float]
    x: float | None = None

    @property
    def median(self) -> float:
        """The middle one of its figures."""
        return median(self.figures)


@dataclass(frozen=True)
class Bar:
    """What must hold for a row: its median, divided by that of another row if one is named.

    Attributes:
        sign: ``>=`` or ``<=``.
    """

    sign: str
    limit: float
    than: str = ""
    name: str = OURS
    than_x: float | None = None
    x: float | None = None


@dataclass(frozen=True)
class Table:
    """The figures of one question.

    Attributes:
        axis: what the rows' ``x`` is; empty where they have none.
        skipped: ways that could not be measured, and why.
        note: a sentence on how to read it.
        floors: rows that do less than a queue or pool does, so that nothing can be expected to reach them.
    """

    title: str
    unit: str
    rows: Sequence[Row]
    bars: Sequence[Bar] = ()
    axis: str = ""
    skipped: Mapping[str, str] | None = None
    note: str = ""
    floors: Sequence[str] = ()

    @property
    def more_is_better(self) -> bool:
        """Whether the figures are rates."""
        return self.unit.endswith("/s")

    def row(self, name: str, x: float | None = None) -> Row | None:
        """The row of this name, at this place on the axis."""
        return next((row for row in self.rows if (row.name, row.x) == (name, x)), None)
