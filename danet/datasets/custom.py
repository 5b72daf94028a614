"""Makes a data set of own recordings, which a table, `samples.csv`, lists with what they show.

A column `layout` names the layout that ships for their joints, or `layout.yaml` beside the table holds another one.
Every process that asks for the data set reads its table.
"""

import csv
import hashlib
import io
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from danet.datasets.dataset import Dataset, Protocol, Reader, Sample, split_by
from danet.datasets.readers.any_file import READERS, layout_of_format, reader
from danet.datasets.readers.raw_file import read_raw_file
from danet.errors import MOST_PART, BadRecording, UserError, one_line, shown
from danet.io.files import read_file
from danet.skeleton.layout import Layout, find_layout, layout_by_size, layout_named, read_layout
from danet.skeleton.recording import MOST_FRAMES, Bodies

CUSTOM = "custom"
DEFAULT_FOLDER = Path("data", CUSTOM)
TABLE = "samples.csv"
LAYOUT = "layout.yaml"
REQUIRED = ("path", "label", "subject", "view")
SPLIT, LAYOUT_COLUMN = "split", "layout"
START, END, RATE = SPAN = ("start", "end", "fps")
OPTIONAL = (SPLIT, LAYOUT_COLUMN, *SPAN)
USUAL_RATE = 30.0  # frames a second
LARGEST_BYTES = 1 << 26  # of the table: a million lines
PARTS = ("train", "validation", "test")
PROTOCOLS = ("own_split", "cross_subject", "cross_view", "repetitions")
HELD_OUT = slice(1, None, 4)  # of people, or of what each does again: a quarter, and one of two
NO_NAME = re.compile(r"[^\w.+-]+")


class Row(NamedTuple):
    """A line of the table. `path` is that of the file; `part` and `layout` are empty where the table does not say them.

    `start` and `end` are the frames, counted from 0, that the row is cut out by: the second is the first one after it.
    None is the file's own.
    """

    line: int
    path: str
    label: str
    subject: str
    view: str
    part: str
    layout: str = ""
    start: int | None = None
    end: int | None = None


def own_data(folder: str | Path | None = None, layout: str = "") -> Dataset:
    """The data set that the table in `folder`, or that file itself, describes; None is DEFAULT_FOLDER.

    `layout`, a name or the path of a YAML file, goes before what stands in the table or beside it.

    Errors: UserError that names file, line, column, what was expected and what was got.
    """
    folder = Path(folder or DEFAULT_FOLDER)
    is_table = os.path.isfile(folder) or (folder.suffix == ".csv" and not os.path.isdir(folder))
    table = folder if is_table else folder / TABLE
    files = (file for file in (table, table.with_name(LAYOUT)) if os.path.exists(file))
    unchanged = tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return _make(folder, table, layout, unchanged)


@lru_cache(maxsize=1)
def _make(folder: Path, table: Path, said: str, _unchanged: tuple[tuple[str, int, int], ...]) -> Dataset:
    own_layout = table.with_name(LAYOUT)
    content = read_file(table, LARGEST_BYTES, what=f"a table of columns {', '.join(REQUIRED)}")
    layout_content = read_file(own_layout, LARGEST_BYTES) if os.path.exists(own_layout) else b""
    rows = read_table(table, content)
    layout, guessed_from = (layout_named(said), "") if said else _layout_of(table, rows)
    samples = _samples(table, rows)
    part_of = dict(zip(samples, (row.part for row in rows), strict=True))
    protocols = {}
    if rows[0].part:
        protocols["own_split"] = Protocol("as the column split says", "subject", lambda sample: part_of[sample.name])
    subjects = sorted({sample.subject for sample in samples.values()})
    if len(subjects) > 1:
        training = frozenset(subjects[::2])
        protocols["cross_subject"] = Protocol(
            "every other subject trains, the rest test", "subject", split_by(lambda s: s.subject in training)
        )
    views = _in_order({row.view for row in rows})
    if len(views) > 1:
        protocols["cross_view"] = Protocol(
            f"view {views[-1]} tests, the rest train", "view", split_by(lambda s: s.view != views[-1])
        )
    if not protocols:
        tested = repetitions(samples.values())
        protocols["repetitions"] = Protocol(
            "a quarter of each label's recordings tests, the rest train", "subject", split_by(lambda s: s not in tested)
        )

    def files() -> Iterable[tuple[str, str]]:
        for name, row in zip(samples, rows, strict=True):
            if not os.path.exists(row.path):
                raise _wrong(table, row.line, "path", "a file", f"none at {row.path}")
            yield name, row.path

    return Dataset(
        name=CUSTOM,
        title="Own data",
        layout=layout,
        actions=tuple(sorted({row.label for row in rows})),
        folders=(CUSTOM,),
        suffixes=tuple(READERS),
        parse_name=samples.get,
        read=_cutting(reader(layout), dict(zip(samples, rows, strict=True))),
        protocols=protocols,
        request="nobody: they are yours",
        samples=len(rows),
        synchronous=False,
        files=files,
        folder=folder,
        guessed_from=guessed_from,
        revision=hashlib.blake2b(content + b"\0" + layout_content, digest_size=16).hexdigest(),
    )


def repetitions(samples: Iterable[Sample]) -> set[Sample]:
    """A quarter of the performances of each label, at least one of two, spread evenly over their order."""
    performances: dict[int, dict[str, list[Sample]]] = defaultdict(dict)
    for sample in samples:
        performances[sample.action].setdefault(sample.performance, []).append(sample)
    return {sample for each in performances.values() for group in list(each.values())[HELD_OUT] for sample in group}


def _cutting(read: Reader, rows: dict[str, Row]) -> Reader:
    """A reader of the frames that a sample's row names. Errors: BadRecording where the file has fewer."""
    if all(row.start is None and row.end is None for row in rows.values()):
        return read

    @lru_cache(maxsize=1)  # the next row is often of the same file
    def whole(path: str, content: bytes) -> Bodies:
        return read("", path, content)

    def cut(name: str, path: str, content: bytes) -> Bodies:
        bodies, row = whole(path, content), rows[name]
        start, end = row.start or 0, bodies.frames if row.end is None else row.end
        if not start < end <= bodies.frames:
            raise BadRecording(path, f"the frames {start} to {end} of line {row.line}", f"{bodies.frames} frames")
        kept = (start <= bodies.frame) & (bodies.frame < end)
        return Bodies(name, end - start, bodies.frame[kept] - start, bodies.body[kept], bodies.joints[kept])

    return cut


def read_table(table: Path, content: bytes) -> list[Row]:
    """The lines of a table. Errors: UserError."""
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = next(lines, [])
        _check_header(table, header)
        rows = [_row(table, lines.line_num, header, fields) for fields in lines if fields]
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{table}, line {line}: expected UTF-8 text, got byte {content[error.start]:#x}") from None
    except csv.Error as error:
        raise UserError(f"{table}, line {lines.line_num}: expected comma-separated fields, got: {error}") from None
    for part in ("train", "test") if SPLIT in header else ():
        if all(row.part != part for row in rows):
            raise UserError(f"{table}, column {SPLIT}: expected a line for '{part}', got none")
    if len({row.label for row in rows}) < 2:
        got = f"{len({row.label for row in rows})} in {len(rows)} lines"
        raise UserError(f"{table}, column label: expected two or more labels, got {got}")
    return rows


def _check_header(table: Path, header: list[str]) -> None:
    expected = f"the columns {', '.join(REQUIRED)} and, where needed, {', '.join(OPTIONAL)}"
    line = one_line(",".join(header), MOST_PART)
    if missing := [column for column in REQUIRED if column not in header]:
        raise UserError(f"{table}, line 1: expected {expected}, got none named '{missing[0]}' in '{line}'")
    for column, count in Counter(header).items():
        if column not in (*REQUIRED, *OPTIONAL) or count > 1:
            raise UserError(f"{table}, line 1: expected {expected}, got '{column}'{' twice' if count > 1 else ''}")


def _row(table: Path, line: int, header: list[str], fields: list[str]) -> Row:
    if len(fields) != len(header):
        raise UserError(f"{table}, line {line}: expected {len(header)} fields, got {len(fields)}")
    values = {column: field.strip() for column, field in zip(header, fields, strict=True)}
    for column, value in values.items():
        if not value.isprintable() or not (value or column in (LAYOUT_COLUMN, *SPAN)):
            raise _wrong(table, line, column, "text", shown(value))
    part = values.get(SPLIT, "")
    if SPLIT in values and part not in PARTS:
        raise _wrong(table, line, SPLIT, f"one of {', '.join(PARTS)}", f"'{part}'")
    if os.path.splitext(values["path"])[1] not in READERS:
        raise _wrong(table, line, "path", f"a file that ends in {', '.join(READERS)}", f"'{values['path']}'")
    path = os.path.normpath(table.parent / values["path"])
    layout = values.get(LAYOUT_COLUMN, "")
    return Row(
        line, path, values["label"], values["subject"], values["view"], part, layout, *_span(table, line, values)
    )


def _span(table: Path, line: int, values: dict[str, str]) -> tuple[int | None, int | None]:
    """The frames from which, and up to which, a row is cut; None where a cell is empty or there is no such column."""
    rate = USUAL_RATE
    if text := values.get(RATE):
        rate = _number(text)
        if not 0 < rate < MOST_FRAMES:
            raise _wrong(table, line, RATE, "frames a second", f"'{text}'")
    bounds: list[int | None] = []
    for column in (START, END):
        text = values.get(column, "")
        frames = _number(text[:-1]) * rate if text.endswith("s") else int(text) if _counted([text]) else math.nan
        if text and not 0 <= frames <= MOST_FRAMES:
            raise _wrong(table, line, column, "a frame, counted from 0, or seconds, as 1.5s", f"'{text}'")
        bounds.append(round(frames) if text else None)
    start, end = bounds
    if end is not None and end <= (start or 0):
        raise _wrong(table, line, END, f"a frame after the start, {start or 0}", f"{end}")
    return start, end


def _number(text: str) -> float:
    """A number as people write it; NaN for anything else."""
    return float(text) if re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", text) else math.nan


def _samples(table: Path, rows: list[Row]) -> dict[str, Sample]:
    """The samples by name, in the order of the rows.

    A name is the path without its ending, from the folder on that holds all files, and the frames of a row that names
    some: `_30-90`. What is no letter, digit, `.`, `+`, `-` or `_` in it becomes `_`. Subjects are numbers as they
    stand, else counted in sorted order from 1. The first recordings of an action by a subject in each view are taken as
    one performance, and so the second ones, and so on.
    """
    actions = {label: index for index, label in enumerate(sorted({row.label for row in rows}))}
    subjects = _in_order({row.subject for row in rows})
    number = {subject: int(subject) if _counted(subjects) else count for count, subject in enumerate(subjects, start=1)}
    paths = [os.path.abspath(row.path) for row in rows]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    samples: dict[str, Sample] = {}
    line_of: dict[str, int] = {}
    times: Counter[tuple[int, int, str]] = Counter()
    for row, path in zip(rows, paths, strict=True):
        span = "" if row.start is row.end is None else f"_{row.start or 0}-{'' if row.end is None else row.end}"
        name = NO_NAME.sub("_", os.path.splitext(os.path.relpath(path, common))[0]) + span
        if name in samples:
            raise _wrong(table, row.line, "path", "names of their own", f"'{name}', as in line {line_of[name]}")
        action, subject = actions[row.label], number[row.subject]
        again = times[action, subject, row.view]
        times[action, subject, row.view] += 1
        samples[name] = Sample(name, action, subject, row.view, f"{action}/{subject}/{again}")
        line_of[name] = row.line
    return samples


def _layout_of(table: Path, rows: list[Row]) -> tuple[Layout, str]:
    """The layout beside the table or named in it, else that of the first file that can be read.

    Returns it, and what it was guessed from.
    """
    own, named = table.with_name(LAYOUT), [row for row in rows if row.layout]
    for row in named:
        if row.layout != named[0].layout:
            expected = f"'{named[0].layout}', as in line {named[0].line}"
            raise _wrong(table, row.line, LAYOUT_COLUMN, expected, f"'{row.layout}'")
    if os.path.exists(own):
        if named:
            raise _wrong(table, named[0].line, LAYOUT_COLUMN, f"no name beside {own}", f"'{named[0].layout}'")
        return read_layout(own), ""
    if named:
        return find_layout(named[0].layout, f"{table}, line {named[0].line}, column {LAYOUT_COLUMN}"), ""
    problem = ""
    for row in rows:
        try:
            joints = read_raw_file(READERS[os.path.splitext(row.path)[1]], "", row.path).joints.shape[1]
        except BadRecording as error:
            problem = problem or str(error)
            continue
        if layout := layout_of_format(row.path, joints):
            return layout, ""
        say = f"a column {LAYOUT_COLUMN} or {own}"
        return layout_by_size(joints, f"{table}, line {row.line}, column path", say), f"{joints} joints"
    raise UserError(f"{table}: expected a file that can be read, got: {problem}")


def _in_order(texts: set[str]) -> list[str]:
    """Sorted as numbers where all are whole numbers, else as text."""
    return sorted(texts, key=lambda text: (int(text), text)) if _counted(texts) else sorted(texts)


def _counted(texts: Iterable[str]) -> bool:
    """Whether all are whole numbers that a table can hold."""
    return all(re.fullmatch(r"[0-9]{1,18}", text) for text in texts)


def _wrong(table: Path, line: int, column: str, expected: str, got: str) -> UserError:
    return UserError(f"{table}, line {line}, column {column}: expected {expected}, got {got}")
