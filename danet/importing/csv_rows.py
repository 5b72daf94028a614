"""Takes CSV files that have a row a joint: frame, joint, x, y and, if there are, z, a score, and who it is."""

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from danet.datasets.readers.raw_file import LARGEST_BYTES
from danet.errors import BadRecording, UserError, brief, shown
from danet.importing.found import AS_IT_IS, FLAT, HALF_TURN, Found, Options, Person, Taken, each_file, scored, stacked
from danet.io.files import read_file
from danet.skeleton.layout import LAYOUTS, MOST_JOINTS, Layout
from danet.skeleton.names import normal_form
from danet.skeleton.recording import MOST_FRAMES

NEEDED = ("frame", "joint", "x", "y")
SCORES = ("confidence", "score", "visibility")
WHO = ("body", "person", "id", "track_id")
METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "pixel": 1.0}


def find(source: Path, options: Options) -> Iterator[Found]:
    """A recording a file."""
    return each_file(source, (".csv",), partial(_read, options=options))


def _read(path: Path, options: Options) -> Taken:
    table = _table(path)
    score = next((table[name].to_numpy() for name in SCORES if name in table), None)
    if "z" not in table:
        table["z"] = 0.0
    points, changes = table[["x", "y", "z"]].to_numpy(np.float64), AS_IT_IS
    if options.unit == "pixel":
        points[:, 1:] *= [-1 if options.y_down else 1, 0]
        changes = FLAT if options.y_down else "flat key points in pixels: x and y as they are, z = 0"
    else:
        points *= METRES[options.unit] * (np.array([-1, -1, 1]) if options.y_down else np.ones(3))
        turned = HALF_TURN if options.y_down else "axes as they are"
        changes = f"{options.unit} to metres, {turned}"
    joints = scored(points, score, options.least_score)
    index, layout = _index_of(path, table["joint"], options.layout)
    frame = _whole(path, table["frame"], "frame")
    frame -= frame.min()
    if frame.max() >= MOST_FRAMES:
        raise BadRecording(str(path), f"at most {MOST_FRAMES:,} frames", f"frame {frame.max():,}")
    who = next((pd.factorize(table[name])[0] for name in WHO if name in table), np.zeros(len(table), np.int64))
    twice = pd.DataFrame({"frame": frame, "who": who, "joint": index}).duplicated()
    if twice.any():
        line = int(twice.to_numpy().argmax()) + 2
        raise BadRecording(str(path), "each joint once in a frame", shown(table["joint"].iloc[line - 2]), line=line)
    size = layout.size if layout else int(index.max()) + 1
    rows, sighting = np.unique(np.stack([frame, who], axis=1), axis=0, return_inverse=True)
    if len(rows) * size * 12 > LARGEST_BYTES:
        raise BadRecording(str(path), f"at most {LARGEST_BYTES:,} bytes of joints", f"{len(rows) * size * 12:,}")
    bodies = np.zeros((len(rows), size, 3), np.float32)
    bodies[sighting.reshape(-1), index] = joints
    people = (Person(int(at), int(body), seen) for (at, body), seen in zip(rows, bodies, strict=True))
    return Taken(stacked(path, people, int(frame.max()) + 1), changes, layout)


def _table(path: Path) -> pd.DataFrame:
    """The columns that mean something, all but joint and who as numbers. Errors: BadRecording."""
    expected = f"a CSV file of the columns {', '.join(NEEDED)} and, if there are, z, {', '.join(SCORES + WHO)}"
    content = read_file(path, LARGEST_BYTES, what="a CSV file", refuse=partial(BadRecording, str(path)))
    known = (*NEEDED, "z", *SCORES, *WHO)
    try:
        table = pd.read_csv(
            io.BytesIO(content),
            usecols=lambda name: str(name).strip().lower() in known,
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, MemoryError) as error:  # pandas' own are of the first kind
        raise BadRecording(str(path), expected, brief(error)) from None
    table.columns = [str(name).strip().lower() for name in table.columns]
    if missing := [name for name in NEEDED if name not in table]:
        raise BadRecording(str(path), expected, f"none named '{missing[0]}'")
    if not len(table) or not table.columns.is_unique:
        raise BadRecording(str(path), expected, "no rows" if not len(table) else "one of them twice")
    for name in ("x", "y", "z", *SCORES):
        if name in table:
            column = pd.to_numeric(table[name], errors="coerce")
            if (wrong := column.isna() & table[name].notna()).any():
                line = int(wrong.to_numpy().argmax())
                raise BadRecording(str(path), f"numbers in column {name}", shown(table[name].iloc[line]), line=line + 2)
            table[name] = column
    return table


def _whole(path: Path, column: pd.Series, name: str) -> np.ndarray:
    """(n,) int64 of a column. Errors: BadRecording where one is no whole number from 0 to 10^15."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    wrong = ~((values >= 0) & (values < 1e15) & (values == np.floor(values)))
    if wrong.any():
        line = int(wrong.argmax())
        raise BadRecording(str(path), f"whole numbers in column {name}", shown(str(column.iloc[line])), line=line + 2)
    return values.astype(np.int64)


def _index_of(path: Path, column: pd.Series, layout: Layout | None) -> tuple[np.ndarray, Layout | None]:
    """(n,) int64, the joint of each row, and the layout: by name, or by number from 0."""
    if pd.api.types.is_numeric_dtype(column):
        index = _whole(path, column, "joint")
        most = layout.size if layout else MOST_JOINTS
        if index.max() >= most:
            line = int(index.argmax()) + 2
            raise BadRecording(str(path), f"joints from 0 to {most - 1}", f"{index.max()}", line=line)
        return index, layout
    names = column.astype(str).map(normal_form)
    if layout is None:
        there = set(names)
        layout = next((each for each in LAYOUTS.values() if there == set(map(normal_form, each.joints))), None)
        if layout is None:
            raise UserError(
                f"--layout: expected the layout of the joints in {path}, got none, and none has their names"
            )
    places = {normal_form(joint): place for place, joint in enumerate(layout.joints)}
    index = names.map(places)
    if index.isna().any():
        line = int(index.isna().to_numpy().argmax())
        raise BadRecording(str(path), f"joints of {layout.name}", shown(str(column.iloc[line])), line=line + 2)
    return index.to_numpy(np.int64), layout
