"""Paths in, checked contents out: JSON objects, JSON lines and Parquet tables that the report reads."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from danet.errors import UserError
from danet.io.files import read_json

PUBLISHED = ("method", "year", "streams", "params_m", "gflops", "read_in")


def read_object(path: Path) -> dict:
    """Reads a JSON object. Errors: UserError when the file is missing or holds something else."""
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: wanted a JSON object, found: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: wanted a JSON object, found {type(value).__name__}")
    return value


def read_lines(path: Path, wanted: Sequence[str], optional: Sequence[str]) -> pd.DataFrame:
    """Reads numbers from one JSON object per line; optional columns that are not there are NaN. Errors: UserError."""
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        frame = pd.DataFrame.from_records(lines)
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise UserError(f"{path}: wanted one JSON object per line, found: {error}") from error
    check_columns(path, wanted, list(frame.columns))
    try:
        return frame.reindex(columns=[*wanted, *optional]).apply(pd.to_numeric)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: wanted numbers, found: {error}") from error


def read_parquet(path: Path, wanted: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Reads these columns of a Parquet file. Errors: UserError when it is missing, damaged, or lacks a wanted one."""
    try:
        with pq.ParquetFile(path) as file:
            found = file.schema_arrow.names
            frame = file.read(columns=[name for name in (*wanted, *optional) if name in found]).to_pandas()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: wanted a Parquet file, found: {error}") from error
    check_columns(path, wanted, found)
    return frame


def read_published(path: Path) -> pd.DataFrame:
    """Reads the figures that others report, in percent: one row per method and number of models fused."""
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: wanted a CSV table, found: {error}") from error
    check_columns(path, PUBLISHED, list(frame.columns))
    return frame


def check_columns(path: Path, wanted: Sequence[str], found: Sequence[str]) -> None:
    """Errors: UserError when a wanted column is not among those found."""
    if not set(wanted) <= set(found):
        raise UserError(f"{path}: wanted the columns {', '.join(wanted)}, found {', '.join(map(str, found)) or 'none'}")


def check_range(path: Path, frame: pd.DataFrame, column: str, size: int) -> None:
    """Errors: UserError naming the first sample whose value in `column` does not count from 0 to size - 1."""
    wrong = frame.loc[~frame[column].between(0, size - 1), ["name", column]]
    if len(wrong):
        name, found = wrong.iloc[0]
        raise UserError(f"{path}: sample {name}: wanted {column} from 0 to {size - 1}, found {found}")
