"""Turns a table into what a reader sees: captions, headings, and cells as text beside the value that sorts them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Column:
    """One column of a page's table.

    `kind` is a key of KINDS; `deviation` names the column shown behind "±", `interval` those shown in brackets.
    """

    key: str
    heading: str
    kind: str = "text"
    deviation: str = ""
    interval: tuple[str, str] | None = None
    bar: bool = False

    @property
    def numeric(self) -> bool:
        """True when the column is set flush right and sorts by value."""
        return self.kind not in ("text", "joined", "code", "simulated")


@dataclass(frozen=True)
class Cell:
    """The text, the value by which it sorts, and a share from 0 to 1 to draw behind it, or None."""

    text: str
    sort: str
    bar: float | None = None


@dataclass(frozen=True)
class Row:
    """Cells in the order of the columns; `mark` for the row that the table is about."""

    cells: tuple[Cell, ...]
    mark: bool = False


@dataclass(frozen=True)
class Table:
    """A table ready for the page. `csv` is the path of the whole table below the page's folder.

    `simulated` when all of its rows are; `total` has one text per column, or is empty.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    csv: str
    note: str
    total: tuple[str, ...]
    simulated: bool

    @property
    def markdown(self) -> str:
        """The path of what the page shows of the table, in Markdown."""
        return f"{self.csv.removesuffix('.csv')}.md"


def duration(seconds: float) -> str:
    """0.43 s, 12 s, 3 min 05 s, 2 h 07 min: the two largest units."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def _signed(value: float) -> str:
    text = f"{abs(value):.1f}"
    return text if float(text) == 0 else f"{MINUS if value < 0 else '+'}{text}"


KINDS: dict[str, Callable[[Any], str]] = {
    "text": str,
    "joined": lambda value: str(value).replace("+", ", "),
    "code": str,
    "simulated": lambda value: "SIMULATED" if value else "real",
    "integer": lambda value: f"{round(value):,}",
    "number": lambda value: str(int(value)),  # a year or a seed bears no comma
    "plain": lambda value: f"{value:g}",
    "decimal": lambda value: f"{value:.2f}",
    "percent": lambda value: f"{value:.1f}",
    "points": _signed,
    "seconds": duration,
}
RECORDINGS = Column("simulated", "Data", "simulated")


def present(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    caption: str,
    csv: str,
    note: str = "",
    most: int | None = None,
    mark: str = "",
    totals: Sequence[str] = (),
) -> Table:
    """Turns a frame into a table for the page, with the recordings' kind as the last column.

    The first `most` rows are shown; those whose column `mark` is true stand out; `totals` names columns to add up.
    """
    columns = (*columns, RECORDINGS)
    rows = []
    for record in frame.head(len(frame) if most is None else most).to_dict("records"):
        cells = tuple(_cell(column, record) for column in columns)
        rows.append(Row(cells, bool(mark and record[mark])))
    if most is not None and len(frame) > most:
        note = f"{note} The first {most} of {len(frame):,} rows are shown; the CSV file has them all.".strip()
    total = tuple(f"{int(frame[column.key].sum()):,}" if column.key in totals else "" for column in columns)
    total = total if totals and len(frame) else ()
    return Table(caption, columns, tuple(rows), csv, note, total, bool(len(frame) and frame["simulated"].all()))


def as_markdown(table: Table) -> str:
    """What the page shows of a table, in GitHub's Markdown: numbers flush right, the marked row in bold."""

    def line(texts: Sequence[str], bold: bool = False) -> str:
        cells = [re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split())) for text in texts]
        return "| " + " | ".join(f"**{cell}**" if bold and cell else cell for cell in cells) + " |"

    lines = [f"**{table.caption}**", "", line([column.heading for column in table.columns])]
    lines.append("|" + "|".join("---:" if column.numeric else "---" for column in table.columns) + "|")
    lines += [line([cell.text for cell in row.cells], row.mark) for row in table.rows]
    if table.total:
        lines.append(line(["Total", *table.total[1:]], bold=True))
    return "\n".join([*lines, *(["", table.note] if table.note else [])]) + "\n"


def _cell(column: Column, record: dict) -> Cell:
    value = record[column.key]
    if pd.isna(value):
        return Cell("", "")
    text = KINDS[column.kind](value)
    if column.deviation and not pd.isna(record[column.deviation]):
        text += f" ± {record[column.deviation]:.1f}"
    if column.interval and not pd.isna(record[column.interval[0]]):
        text += " [{:.1f}, {:.1f}]".format(*(record[end] for end in column.interval))
    bar = min(max(float(value) / 100, 0.0), 1.0) if column.bar else None
    return Cell(text, repr(float(value)) if column.numeric else text, bar)
