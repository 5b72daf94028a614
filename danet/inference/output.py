"""Files in, what `danet predict` prints out: a table, JSON or CSV, and a line on stderr for what cannot be read."""

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from tqdm import tqdm

from danet.errors import UserError
from danet.inference.predictor import Predictor, scores_by_file, sequences_of
from danet.inference.recordings import recordings_in

UNKNOWN = "unknown"
CSV_COLUMNS = ("file", "rank", "action", "score")


class Label(NamedTuple):
    """What files that show one performance were found to show: the likeliest action, or UNKNOWN; and the best few."""

    files: list[str]
    label: str
    predictions: list[dict[str, str | float]]


class Labels:
    """The labels of files, and of those in folders, as they are computed; `failed` counts what could not be read.

    With `views` the files show one performance and get one label. UNKNOWN is what has no score of `unknown_below`.
    """

    def __init__(self, predictor: Predictor, places: list[Path], views: bool, top: int, unknown_below: float):
        self.predictor, self.views, self.top, self.unknown_below = predictor, views, top, unknown_below
        self.failed = 0
        self.files = recordings_in(places, predictor.layout, self._complain)

    def __iter__(self) -> Iterator[Label]:
        # A bar for many files, and on a terminal only.
        bar = tqdm(self.files, desc="predict", unit="file", disable=None if len(self.files) > 1 else True)
        if self.views:
            views = list(sequences_of(self.predictor, bar, self._complain))
            groups = [([file for file, _ in views], [view for _, view in views])] if views else []
            found = ((files, self.predictor.scores(*sequences)) for files, sequences in groups)
        else:
            found = (([file], scores) for file, scores in scores_by_file(self.predictor, bar, self._complain))
        for files, scores in found:
            predictions = self.predictor.named(scores, self.top)
            sure = scores.max() >= self.unknown_below
            yield Label([*map(_as_text, files)], str(predictions[0]["action"]) if sure else UNKNOWN, predictions)

    def _complain(self, error: UserError) -> None:
        self.failed += 1
        tqdm.write(f"danet: {error}", file=sys.stderr)


def _as_text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")  # a name that is no UTF-8 cannot be printed


def as_table(labels: Iterable[Label]) -> Iterator[str]:
    """Some lines for each label: its files, that it is unknown if it is, and a line for each score."""
    for files, label, predictions in labels:
        lines = [" ".join(files), *([f"  {label}"] if label == UNKNOWN else [])]
        yield "\n".join([*lines, *(f"  {best['score']:7.1%}  {best['action']}" for best in predictions)])


def as_json_text(labels: Labels) -> str:
    """A JSON list of objects: `file`, or `files` where they were labelled as one, `label` and `predictions`."""
    entries = [
        {**({"files": files} if labels.views else {"file": files[0]}), "label": label, "predictions": predictions}
        for files, label, predictions in labels
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False)


def write_csv(labels: Iterable[Label], out: TextIO) -> None:
    """A row for each score, the best of rank 1; before those of a file that is UNKNOWN a row of rank 0 says so."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for files, label, predictions in labels:
        if label == UNKNOWN:
            rows.writerow((" ".join(files), 0, label, ""))
        for rank, best in enumerate(predictions, 1):
            rows.writerow((" ".join(files), rank, best["action"], best["score"]))
