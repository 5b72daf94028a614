"""Makes the cells of CSV files such that no spreadsheet runs them and no terminal acts on them."""

import pandas as pd

from danet.errors import spelt_out

STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: object) -> object:
    """A cell: a text that a spreadsheet would run as a formula gets a leading apostrophe; all others stay.

    What a terminal would act on is written as its escape sequence. A number that is written as text is no formula.
    """
    if not isinstance(value, str):
        return value
    runs = value.lstrip(" ").startswith(STARTS_A_FORMULA) and not _is_number(value)
    return ("'" if runs else "") + spelt_out(value)


def as_csv(frame: pd.DataFrame) -> str:
    """A table as CSV, a header line first, of cells that `safe_cell` makes."""
    safe = frame.rename(columns=safe_cell)
    for index, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(index, frame.iloc[:, index].astype(object).map(safe_cell))
    return safe.to_csv(index=False, lineterminator="\n")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
