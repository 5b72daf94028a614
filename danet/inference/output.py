"""Prints what `danet predict` says of files: a table, JSON or CSV, and a line on stderr for what cannot be read."""

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from tqdm import tqdm

from danet.errors import UserError, spelt_out
from danet.inference.predictor import Predictor, scores_by_file, sequences_of
from danet.inference.recordings import recordings_in
from danet.io.csv_text import safe_cell
from danet.io.files import readable_json

UNKNOWN = "unknown"
CSV_COLUMNS = ("file", "rank", "action", "score")


class Prediction(NamedTuple):
    """What files that show one performance are predicted to show.

    `label` is the likeliest action, or UNKNOWN. `best` are the `top` likeliest actions, the best first, each with its
    score from 0 to 1.
    """

    files: list[str]
    label: str
    best: list[dict[str, str | float]]


class Predictions:
    """The predictions of files, and of those in folders, as they are computed; `failed` counts what cannot be read.

    With `views` the files show one performance and get one prediction. The label is UNKNOWN where no score reaches
    `unknown_below`.
    """

    def __init__(self, predictor: Predictor, paths: list[Path], views: bool, top: int, unknown_below: float):
        self.predictor, self.views, self.top, self.unknown_below = predictor, views, top, unknown_below
        self.failed = 0
        self.files = recordings_in(paths, predictor.recorded, self._complain)

    def __iter__(self) -> Iterator[Prediction]:
        # A bar for many files, and on a terminal only.
        bar = tqdm(self.files, desc="predict", unit="file", disable=None if len(self.files) > 1 else True)
        if self.views:
            views = list(sequences_of(self.predictor, bar, self._complain))
            groups = [([file for file, _ in views], [view for _, view in views])] if views else []
            scored = ((files, self.predictor.scores(*sequences)) for files, sequences in groups)
        else:
            scored = (([file], scores) for file, scores in scores_by_file(self.predictor, bar, self._complain))
        for files, scores in scored:
            best = self.predictor.named(scores, self.top)
            label = str(best[0]["action"]) if scores.max() >= self.unknown_below else UNKNOWN
            yield Prediction([*map(_as_text, files)], label, best)
        for line in self.predictor.doubtful():
            tqdm.write(f"danet: {line}", file=sys.stderr)

    def _complain(self, error: UserError) -> None:
        self.failed += 1
        tqdm.write(f"danet: {error}", file=sys.stderr)


def _as_text(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")  # a name that is no UTF-8 cannot be printed


def as_table(predictions: Iterable[Prediction]) -> Iterator[str]:
    """Some lines for each prediction: its files, UNKNOWN if it is that, and a line for each score."""
    for files, label, best in predictions:
        lines = [" ".join(files), *([f"  {label}"] if label == UNKNOWN else [])]
        lines += [f"  {entry['score']:7.1%}  {entry['action']}" for entry in best]
        yield "\n".join(map(spelt_out, lines))


def as_json_text(predictions: Predictions) -> str:
    """A JSON list of objects: `file`, or `files` where they are views of one performance, `label`, `predictions`."""
    entries = [
        {**({"files": files} if predictions.views else {"file": files[0]}), "label": label, "predictions": best}
        for files, label, best in predictions
    ]
    return readable_json(entries, indent=2)


def write_csv(predictions: Iterable[Prediction], out: TextIO) -> None:
    """Writes a row for each score, the best of rank 1. A row of rank 0 stands before those of an UNKNOWN file."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for files, label, best in predictions:
        named = safe_cell(" ".join(files))
        if label == UNKNOWN:
            rows.writerow((named, 0, label, ""))
        for rank, entry in enumerate(best, 1):
            rows.writerow((named, rank, safe_cell(entry["action"]), entry["score"]))
