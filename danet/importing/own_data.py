"""Writes the recordings that a form found as a folder of own data: samples.csv, layout.yaml and arrays."""

import csv
import io
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from danet.datasets.custom import LARGEST_BYTES, LAYOUT, NO_NAME, PARTS, SPLIT, TABLE
from danet.errors import BadRecording, UserError, brief, say, shown
from danet.importing.found import Found, Options, Taken
from danet.io.csv_text import as_csv
from danet.io.files import partial_name, read_file, reason_of
from danet.skeleton.layout import LAYOUTS, Layout

ARRAYS = "recordings"
UNKNOWN = "unknown"
LONGEST_NAME = 200  # bytes: a longer one loses its begin
FACTS = ("label", "subject", "view", SPLIT)


class Labels(NamedTuple):
    """What a user says of the recordings: a label for all, or rows by the name or path of a recording."""

    label: str = ""
    rows: Mapping[str, Mapping[str, str]] | None = None

    def of(self, found: Found) -> Found | None:
        """The recording with what is said of it; None where a table does not list it."""
        if self.rows is None:
            return found._replace(label=self.label or found.label)
        names = (found.name, os.path.basename(found.name))
        row = next((self.rows[name] for name in names if name in self.rows), None)
        if row is None:
            return None
        label, subject, view, split = (row[key] or getattr(found, key) for key in FACTS)
        return found._replace(label=label, subject=subject, view=view, split=split)


def read_labels(path: Path) -> Labels:
    """The table `path` or `name`, `label`, and if there are `subject`, `view`, `split`. Errors: UserError."""
    content = read_file(path, LARGEST_BYTES, what="a table of path or name, label")
    rows: dict[str, dict[str, str]] = {}
    try:
        lines = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        header = list(lines.fieldnames or ())
        key = next((column for column in ("path", "name") if column in header), None)
        if key is None or "label" not in header:
            raise UserError(f"{path}, line 1: expected the columns path or name, and label, got {shown(header)}")
        for line in lines:
            name, part = (line[key] or "").strip(), (line.get(SPLIT) or "").strip()
            if part and part not in PARTS:
                raise UserError(f"{path}, line {lines.line_num}: expected one of {', '.join(PARTS)}, got '{part}'")
            if not name or not (line["label"] or "").strip():
                raise UserError(f"{path}, line {lines.line_num}: expected a {key} and a label, got none")
            facts = {column: (line.get(column) or "").strip() for column in FACTS}
            for spelt in {name, os.path.splitext(name)[0]} if key == "path" else {name}:
                rows[os.path.normpath(spelt)] = facts
    except UnicodeDecodeError:
        raise UserError(f"{path}: expected UTF-8 text, got another") from None
    except csv.Error as error:
        raise UserError(f"{path}: expected comma-separated fields, got: {error}") from None
    return Labels(rows=rows)


def write_own_data(
    found: Iterable[Found], out: Path, layouts: Mapping[int, str], options: Options, labels: Labels
) -> dict[str, Any]:
    """Writes the folder `out`, whole or not at all; returns what it holds.

    `layouts` are the form's, by their number of joints. A recording that cannot be read is told and counted as
    `unreadable`. Errors: UserError where `out` is there, or no recording could be read.
    """
    writer = _Writer(layouts, options)
    with _folder_written_whole(out) as folder:
        os.mkdir(folder / ARRAYS)
        for each in found:
            if (labelled := labels.of(each)) is None:
                writer.unlisted += 1
            else:
                writer.take(labelled, folder)
        if not writer.rows:
            raise UserError(f"{out}: expected a recording that can be read, got none")
        (folder / TABLE).write_text(as_csv(writer.table()), encoding="utf-8")
        assert writer.layout
        definition = yaml.safe_dump(writer.layout.definition, sort_keys=False, allow_unicode=True)
        (folder / LAYOUT).write_text(definition, encoding="utf-8")
    return writer.report()


class _Writer:
    def __init__(self, layouts: Mapping[int, str], options: Options):
        self.layouts, self.options = layouts, options
        self.layout: Layout | None = None
        self.changes = ""
        self.rows: dict[str, dict[str, str]] = {}
        self.unreadable = self.unlisted = 0

    def take(self, found: Found, folder: Path) -> None:
        """Writes the array and keeps the row; what cannot be read is told."""
        try:
            name = NO_NAME.sub("_", found.name).encode()[-LONGEST_NAME:].decode(errors="ignore").lstrip(".") or "_"
            if name in self.rows:
                raise BadRecording(found.name, "names of their own", f"'{name}' again")
            with np.errstate(all="ignore"):  # what is not finite counts as not seen
                taken = found.read()
            self._check(found, taken)
        except BadRecording as error:
            say(str(error))
            self.unreadable += 1
            return
        path = f"{ARRAYS}/{name}.npy"
        np.save(folder / path, np.ascontiguousarray(taken.joints), allow_pickle=False)
        facts = {key: getattr(found, key).strip() or UNKNOWN for key in FACTS[:-1]}
        self.rows[name] = {"path": path} | facts | {SPLIT: found.split}

    def _check(self, found: Found, taken: Taken) -> None:
        joints = taken.joints.shape[2]
        layout = self.options.layout or taken.layout or self.layout or self._by_size(joints)
        first = self.layout or layout
        if (layout, joints) != (first, first.size):
            raise BadRecording(found.name, f"the joints of {first.name} ({first.size})", f"{joints} of {layout.name}")
        if taken.changes != (self.changes or taken.changes):
            raise BadRecording(found.name, f"{self.changes}, as in the first recording", taken.changes)
        self.layout, self.changes = layout, taken.changes

    def _by_size(self, joints: int) -> Layout:
        name = self.layouts.get(joints)
        if name not in LAYOUTS:
            ships = f"{name}, which does not ship" if name else f"{joints} joints"
            raise UserError(f"--layout: expected a layout's name or YAML file, got none for {ships}")
        return LAYOUTS[name]

    def table(self) -> pd.DataFrame:
        """The rows of the table; parts are made up where nothing else makes a protocol, which is told."""
        table = pd.DataFrame(self.rows.values())
        if (table[SPLIT] == "").any() or not set(table[SPLIT]) >= {"train", "test"}:
            if (table[SPLIT] != "").any():
                say("the column split is left out: not every recording has a part, or none trains or none tests")
            table = table.drop(columns=SPLIT)
        if table["label"].nunique() < 2:
            say(f"one label, '{brief(table['label'][0], 60)}': training takes two or more (--labels)")
        elif SPLIT not in table and table["subject"].nunique() < 2 and table["view"].nunique() < 2:
            say("nobody says who acts: recordings of a label are taken for one person's repetitions (--labels)")
        return table

    def report(self) -> dict[str, Any]:
        """What was written."""
        assert self.layout
        if self.unlisted:
            say(f"{self.unlisted:,} recordings are not in the table of labels, and are left out")
        say(f"joints of {self.layout.name}; {self.changes}")
        return {
            "recordings": len(self.rows),
            "labels": dict(sorted(Counter(row["label"] for row in self.rows.values()).items())),
            "joints": self.layout.size,
            "layout": self.layout.name,
            "changes": self.changes,
            "unreadable": self.unreadable,
        }


@contextmanager
def _folder_written_whole(out: Path) -> Iterator[Path]:
    """A new folder that takes the name `out` on success, and is removed on failure."""
    if os.path.lexists(out):
        raise UserError(f"{out}: expected a folder that is not there yet, got one")
    partial = partial_name(out.absolute())
    try:
        partial.mkdir(parents=True)
        yield partial
        if os.path.lexists(out):
            raise UserError(f"{out}: expected a folder that is not there yet, got one")
        os.rename(partial, out)
    except OSError as error:
        raise UserError(f"{out}: expected to write it, got: {reason_of(error)}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
