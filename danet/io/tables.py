"""Reads tables, Parquet's, and checks their columns."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from danet.errors import UserError, brief
from danet.io.files import what_instead

DAMAGE = (OSError, ValueError, KeyError, TypeError, pa.ArrowException)  # what pyarrow raises for such files


def read_parquet(path: Path, expected: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Reads these columns of a Parquet file. Errors: UserError when it is missing, damaged, or lacks one of them."""
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            frame = file.read(columns=[name for name in (*expected, *optional) if name in columns]).to_pandas()
    except DAMAGE as error:
        raise UserError(f"{path}: expected a Parquet file, got {_instead(error)}") from error
    check_columns(path, expected, columns)
    return frame


def _instead(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return what_instead(error)
    return f"a damaged one: {brief(str(error), 100)}"


def check_columns(path: Path, expected: Sequence[str], got: Sequence[str]) -> None:
    """Errors: UserError when an expected column is not there."""
    if not set(expected) <= set(got):
        raise UserError(f"{path}: expected the columns {', '.join(expected)}, got {', '.join(map(str, got)) or 'none'}")
