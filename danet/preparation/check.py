"""Says what is wrong in a raw folder before anything runs: every file is read once, and nothing is written."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from danet.datasets.custom import CUSTOM
from danet.datasets.dataset import Dataset
from danet.datasets.readers.any_file import reader
from danet.datasets.registry import find_dataset
from danet.errors import BadRecording, one_line
from danet.preparation.coverage import of_each_protocol
from danet.preparation.manifest import LEFT_OUT, TWICE, make_manifest, no_recordings
from danet.preparation.parallel import ordered_map
from danet.preparation.parse import COPY, SET_ASIDE_COLUMNS, UNREADABLE, read_recording
from danet.skeleton.doubts import KINDS as DOUBTS
from danet.skeleton.doubts import Doubts, doubts_of
from danet.skeleton.layout import Layout

ABSENT = "not there, though others of the same performer and action are"
KINDS = ("missing", "unexpected", "damaged", "twice", "copies", "left_out", "outliers")
STANDS_OUT = 30  # times the median
OUTLIER = "its joints span far more, or far less, than those of the others"
SHOWN = 20  # entries of each kind in the printed table; the JSON holds all


class Looked(NamedTuple):
    """A hash of a recording's joints, the most that they span along an axis, in metres, and the kinds of doubt."""

    content: int
    span: float
    doubts: list[str]


def check_folder(dataset: Dataset, folder: Path, *, jobs: int) -> dict:
    """Looks at every file of a data set below `folder`.

    Returns `dataset`, `folder`, `layout` and what it was guessed from, `sound`, `counts`, `coverage`, which is a line
    for each protocol, `doubts` and, for each of KINDS, a list of rows with the set-aside table's columns. Counts:
    `files` of the data set's suffixes; `expected` samples of the full data set, 0 where unknown; `found` samples, by
    name; one for each kind. Doubts: `lines`, one for each kind that is common among the recordings; `names` of the
    recordings, by kind. What the kinds hold:

    - missing: samples that the full data set has and the folder lacks. The count is of all of them; the rows name those
      that others make expected. Samples on the authors' list need not be there.
    - unexpected: files whose name is no sample's.
    - damaged: files that cannot be read, or show nobody.
    - twice: second and later files of a sample.
    - copies: samples with the same joints as another one.
    - left_out: samples on the authors' list of those to leave out; they are not read.
    - outliers: samples whose joints, from the first frame to the last, span STANDS_OUT times what they span in the
      median sample, or that part of it. A few such are trained on, but are hardly right.

    A folder is sound when it holds a sample, the first four kinds are empty and there are no more copies than in the
    published data set; doubts do not count. Memory grows by a number a file.
    Errors: UserError for a missing folder.
    """
    manifest = make_manifest(dataset, [folder])
    rows: dict[str, list[dict]] = {kind: [] for kind in KINDS}
    doubts = _read_all(dataset, manifest, jobs, rows)
    for name, file, aside in manifest.loc[manifest["aside"] != "", ["name", "file", "aside"]].itertuples(index=False):
        if aside == LEFT_OUT:
            rows["left_out"].append(_row(name, file, aside))
        elif aside != TWICE:
            rows["unexpected"].append(_row(name, file, aside))
    samples = manifest[manifest["action"] >= 0].drop_duplicates("name")
    missing = _missing(dataset, samples)
    rows["missing"] = [_row(name, "", ABSENT) for name in missing]
    usable = samples.loc[samples["aside"] != LEFT_OUT, "name"]
    lacking = max(dataset.usable_samples - len(usable), len(missing)) if dataset.samples else 0
    counts = {"files": len(manifest), "expected": dataset.samples, "found": len(samples)}
    counts |= {kind: len(rows[kind]) for kind in KINDS} | {"missing": lacking}
    wrong = sum(counts[kind] for kind in ("missing", "unexpected", "damaged", "twice"))
    sound = len(samples) > 0 and not wrong and counts["copies"] <= dataset.known_copies
    if len(usable):
        covered = of_each_protocol(dataset, usable)
    else:
        covered = dict.fromkeys(dataset.protocols, str(no_recordings(dataset, [folder])))
    about = {"dataset": dataset.name, "folder": str(folder), "layout": dataset.layout_told, "sound": sound}
    return about | {"counts": counts, "coverage": covered, "doubts": doubts, **rows}


def _read_all(dataset: Dataset, manifest: pd.DataFrame, jobs: int, rows: dict[str, list[dict]]) -> dict:
    """Reads the files of samples, appends to damaged, twice and copies, and returns the doubts."""
    used, again = (manifest.loc[manifest["aside"] == aside, ["name", "file"]] for aside in ("", TWICE))
    items = list(pd.concat([used, again]).itertuples(index=False, name=None))
    results = ordered_map(partial(_look_at, dataset.name, dataset.layout), items, jobs)
    first_file = dict(items[: len(used)])
    digests: dict[str, int] = {}
    spans: dict[tuple[str, str], float] = {}
    first_with: dict[int, str] = {}
    doubts, doubtful = Doubts(), {kind: list[str]() for kind in DOUBTS}
    for (name, file), result in zip(tqdm(items, desc=f"{dataset.name}: check", disable=None), results, strict=True):
        if file != first_file[name]:
            same = isinstance(result, Looked) and digests.get(name) == result.content
            content = "the same joints as" if same else "another content than"
            row = _row(name, file, TWICE, expected="one file a sample", got=f"{content} {first_file[name]}")
            rows["twice"].append(row)
        elif isinstance(result, BadRecording):
            position = {"line": result.line, "frame": result.frame, "body": result.body}
            rows["damaged"].append(_row(name, file, UNREADABLE, expected=result.expected, got=result.got, **position))
        else:
            digests[name], spans[name, file] = result.content, result.span
            first = first_with.setdefault(result.content, name)
            if first != name:
                rows["copies"].append(_row(name, file, COPY, expected="joints of its own", got=f"those of {first}"))
            doubts.add(result.doubts)
            for kind in result.doubts:
                doubtful[kind].append(name)
    rows["outliers"] = _outliers(spans)
    return {"lines": doubts.lines(), "names": doubtful}


def _look_at(dataset: str, layout: Layout, item: tuple[str, str]) -> Looked | BadRecording:
    """What there is to know of a recording, or what is wrong with it; runs in any process."""
    read = reader(layout) if dataset == CUSTOM else find_dataset(dataset).read
    try:
        bodies = read_recording(read, *item)
    except BadRecording as problem:
        return problem
    return Looked(bodies.content, float(np.ptp(bodies.joints, axis=(0, 1)).max()), doubts_of(bodies, layout))


def _outliers(spans: dict[tuple[str, str], float]) -> list[dict]:
    """A row for each recording, by name and file, whose span in metres stands out among all."""
    median = median_low(spans.values()) if spans else 0.0
    return [
        _row(name, file, OUTLIER, expected=f"a span near {median:.3g} m, the median", got=f"{span:.3g} m")
        for (name, file), span in spans.items()
        if not median / STANDS_OUT <= span <= median * STANDS_OUT
    ]


def _missing(dataset: Dataset, samples: pd.DataFrame) -> list[str]:
    """The names that must be there because others are."""
    there = set(samples["name"])
    expected = dict.fromkeys(name for sample in map(dataset.sample, there) for name in dataset.siblings(sample))
    return sorted(name for name in expected if name not in there)


def _row(name: str, file: str, reason: str, **more: str | int) -> dict:
    return dict(zip(SET_ASIDE_COLUMNS, (name, file, reason, 0, 0, 0, "", ""), strict=True)) | more


def as_text(report: dict) -> str:
    """The report in lines of text: the counts, then the first rows of each kind."""
    doubts = report["doubts"]["lines"]
    verdict = ("sound" if report["sound"] else "not sound") + (", with doubts" if doubts else "")
    lines = [f"{report['dataset']} in {one_line(str(report['folder']))}: {verdict}"]
    for key, count in report["counts"].items():
        unknown = key == "expected" and not count
        lines.append(f"  {key.replace('_', ' '):<11}{'unknown' if unknown else format(count, ','):>9}")
    lines += [f"  {one_line(line)}" for line in dict.fromkeys(report["coverage"].values())]
    lines.append(f"  {'layout':<11}  {one_line(report['layout'])}")
    if doubts:
        lines += ["\ndoubts:", *(f"  {line}" for line in doubts)]
    for kind in KINDS:
        lines += _section(kind, report[kind])
    return "\n".join(lines)


def _section(kind: str, rows: list[dict]) -> Iterable[str]:
    if not rows:
        return
    yield f"\n{kind.replace('_', ' ')}:"
    for row in rows[:SHOWN]:
        if row["expected"] and row["file"]:
            position = {key: row[key] for key in ("line", "frame", "body")}
            yield f"  {BadRecording(row['file'], row['expected'], row['got'], **position)}"
        else:
            yield f"  {one_line(row['file'] or row['name'])}: {row['reason']}"
    if len(rows) > SHOWN:
        yield f"  and {len(rows) - SHOWN:,} more; --json names all"
