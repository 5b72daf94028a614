"""Reads and checks histories and tables of figures for the report."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from danet.config.base import check
from danet.datasets.registry import NAMES
from danet.errors import UserError, shown
from danet.io.files import LARGEST_TEXT, read_file, what_instead, why_no_json
from danet.io.tables import check_columns
from danet.results import HistoryRow

PUBLISHED = ("method", "year", "streams", "params_m", "gflops", "read_in")
REPEATED = ("method", "dataset", "protocol", "streams", "input", "claimed", "repeated", "chosen_on_test", "read_in")


def read_history(path: Path) -> pd.DataFrame:
    """Reads `history.jsonl`: a row for each epoch, NaN where nothing was validated. Errors: UserError with the line."""
    try:
        text = read_file(path, LARGEST_TEXT, what="one JSON object per line").decode("utf-8")
    except UnicodeError as error:
        raise UserError(f"{path}: expected one JSON object per line, got what is no UTF-8") from error
    lines = [line for line in text.splitlines() if line.strip()]
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: expected a JSON object, got {why_no_json(error)}") from error
        if not isinstance(values, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object, got {shown(values)}")
        rows.append(check(HistoryRow, values, f"{path}, line {number}").model_dump())
    return pd.DataFrame(rows, columns=list(HistoryRow.model_fields)).apply(pd.to_numeric)


def read_published(path: Path) -> pd.DataFrame:
    """Reads the figures that others report, in percent: one row per method and number of models fused."""
    frame = _read_figures(path, PUBLISHED)
    accuracies = [column for column in frame if str(column).startswith(tuple(f"{name}_" for name in NAMES))]
    return _check_numbers(path, frame, ("streams", *accuracies))


def read_repeated(path: Path | None) -> pd.DataFrame:
    """Reads the figures that could be repeated, in percent: one row per trial. No rows without a file."""
    if path is None:
        return pd.DataFrame(columns=REPEATED)
    return _check_numbers(path, _read_figures(path, REPEATED), ("streams", "repeated"))


def _read_figures(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: expected a CSV table, got {_instead(error)}") from error
    check_columns(path, columns, list(frame.columns))
    return frame


def _check_numbers(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The frame. Errors: UserError naming the first cell of these columns that is neither empty nor a number."""
    for column in columns:
        wrong = frame[column][pd.to_numeric(frame[column], errors="coerce").isna() & frame[column].notna()]
        if len(wrong):
            raise UserError(f"{path}: expected numbers in {column}, got {shown(wrong.iloc[0])}")
    return frame


def _instead(error: OSError | ValueError) -> str:
    return what_instead(error) if isinstance(error, OSError) else f"an error: {error}"


def check_range(path: Path, frame: pd.DataFrame, column: str, size: int) -> None:
    """Errors: UserError naming the first sample whose value in `column` does not count from 0 to size - 1."""
    wrong = frame.loc[~frame[column].between(0, size - 1), ["name", column]]
    if len(wrong):
        name, got = wrong.iloc[0]
        raise UserError(f"{path}: sample {name}: expected {column} from 0 to {size - 1}, got {got}")
