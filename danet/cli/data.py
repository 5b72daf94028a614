"""The commands about recordings: prepare, check, split."""

import json
from pathlib import Path
from typing import Annotated

import typer

from danet.cli.options import CORES
from danet.config.base import check
from danet.config.settings import Prepare, Split
from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.io.files import what_instead, written_whole

DatasetName = Annotated[str, typer.Argument(help="ntu60, ntu120, uestc, nw_ucla, utd_mhad, demo or custom.")]


def prepare_command(
    dataset: DatasetName,
    raw: Annotated[Path, typer.Option(help="Folder of raw recordings, searched at any depth.")],
    out: Annotated[Path, typer.Option(help="File to write the centred sequences to (HDF5).")],
    jobs: Annotated[int, typer.Option(min=1, help="Files read at a time.")] = CORES,
    timing: Annotated[
        str, typer.Option(help="observed, or reference as in the scripts of SGN and CTR-GCN.")
    ] = "observed",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first unreadable file; refuse doubtful numbers.")
    ] = False,
    keep_copies: Annotated[bool, typer.Option("--keep-copies", help="Keep recordings of the same content.")] = False,
) -> None:
    """Turn raw recordings into centred sequences, and print how many as JSON.

    Example: danet prepare ntu60 --raw data/nturgbd_raw/nturgb+d_skeletons --out ntu60.h5
    """
    from danet.preparation.chain import prepare

    settings = check(Prepare, {"timing": timing, "strict": strict, "drop_copies": not keep_copies}, "prepare")
    print(json.dumps(prepare(find_dataset(dataset, raw), raw, out, settings=settings, jobs=jobs)))


def check_command(
    dataset: DatasetName,
    folder: Annotated[Path, typer.Argument(help="Folder of raw recordings, searched at any depth.")],
    jobs: Annotated[int, typer.Option(min=1, help="Files read at a time.")] = CORES,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every name.")] = False,
    layout: Annotated[
        str, typer.Option(help="Joint layout of own data, by name or YAML file.", show_default="as the table says")
    ] = "",
) -> None:
    """Look for missing, unexpected, damaged, doubled and copied recordings before anything runs. Exit code 1 if any.

    Also says which joints were taken, and what does not look like people in metres.

    Example: danet check ntu60 data/nturgbd_raw/nturgb+d_skeletons
    """
    from danet.preparation.check import as_text, check_folder

    report = check_folder(find_dataset(dataset, folder, layout), folder, jobs=jobs)
    print(json.dumps(report) if as_json else as_text(report))
    if not report["sound"]:
        raise typer.Exit(1)


def split_command(
    dataset: DatasetName,
    protocol: Annotated[str, typer.Argument(help="cross_subject, cross_view, ... ; a fold as cross_view_1/front.")],
    names: Annotated[Path, typer.Option(help="Text file of sample names, one a line.")],
    out: Annotated[Path, typer.Option(help="File to write the parts to (Parquet: name, part).")],
    validation_by: Annotated[str, typer.Option(help="subject or view: what to hold out as a whole.")] = "subject",
    validation_share: Annotated[float, typer.Option(help="Share of the training subjects or views to hold out.")] = 0.1,
    leave_out: Annotated[
        list[str] | None, typer.Option(help="Training samples not to learn from, as a05_s04_*_v02; may be repeated.")
    ] = None,
) -> None:
    """Split samples into train, validation and test by their names alone, and print counts and coverage as JSON.

    Example: danet split ntu60 cross_view --names names.txt --out split.parquet
    """
    import pandas as pd

    from danet.preparation.coverage import actions_of, coverage
    from danet.preparation.split import counts, split

    chosen = find_dataset(dataset)
    values = {"validation_by": validation_by, "validation_share": validation_share, "leave_out": leave_out or ()}
    settings = check(Split, values, "split")
    listed = _read_names(names)
    tables = {fold: split(chosen, fold, listed, settings) for fold in chosen.folds(protocol)}
    with written_whole(out) as partial:
        pd.concat(table.assign(fold=fold) for fold, table in tables.items()).to_parquet(partial, index=False)
    action_of = actions_of(chosen, listed)
    every = {
        fold: counts(table) | {"coverage": str(coverage(chosen, action_of, table))} for fold, table in tables.items()
    }
    first = next(iter(every.values()))
    print(json.dumps(first | {"folds": every} if len(every) > 1 else first))


def _read_names(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        got = what_instead(error)
    except UnicodeDecodeError:
        got = "one that is no UTF-8"
    raise UserError(f"{path}: expected a text file of sample names, got {got}")
