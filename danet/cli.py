"""The `danet` command: prepares, checks, splits, labels, draws, estimates, exports and imports.

What a user can put right is said in one line on stderr, with exit code 2.
"""

import codecs
import io
import json
import logging
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer

from danet.config.base import check
from danet.config.settings import Prepare, Split, read_config
from danet.datasets.custom import CUSTOM
from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.extras import train_extra
from danet.io.files import readable_json, what_instead, written_whole

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="View-invariant action recognition from skeletons.",
    epilog="danet COMMAND --help shows what a command takes, and an example.",
)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

DatasetName = Annotated[str, typer.Argument(help="ntu60, ntu120, uestc, nw_ucla, utd_mhad, demo or custom.")]


def _print_version(asked: bool) -> None:
    if asked:
        print(f"danet {version('danet')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Holds the options that belong to no command."""


@app.command("prepare")
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


@app.command("check")
def check_command(
    dataset: DatasetName,
    folder: Annotated[Path, typer.Argument(help="Folder of raw recordings, searched at any depth.")],
    jobs: Annotated[int, typer.Option(min=1, help="Files read at a time.")] = CORES,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with every name.")] = False,
) -> None:
    """Look for missing, unexpected, damaged, doubled and copied recordings before anything runs. Exit code 1 if any.

    Also says which joints were taken, and what does not look like people in metres.

    Example: danet check ntu60 data/nturgbd_raw/nturgb+d_skeletons
    """
    from danet.preparation.check import as_text, check_folder

    report = check_folder(find_dataset(dataset, folder), folder, jobs=jobs)
    print(json.dumps(report) if as_json else as_text(report))
    if not report["sound"]:
        raise typer.Exit(1)


@app.command("split")
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


@app.command("predict")
def predict_command(
    weights: Annotated[Path, typer.Argument(help="weights.safetensors of a run, or an exported .onnx.")],
    files: Annotated[
        list[Path],
        typer.Argument(help="Recordings (.skeleton, .json, .txt, .mat), arrays (.npy), or folders of them."),
    ],
    views: Annotated[bool, typer.Option("--views", help="The files show one performance: one label for all.")] = False,
    top: Annotated[int, typer.Option(min=1, help="How many actions to name.")] = 5,
    unknown_below: Annotated[
        float, typer.Option(min=0, max=1, help="Label 'unknown' what has no score as high as this.")
    ] = 0.0,
    unknown: Annotated[
        bool, typer.Option("--unknown", help="The same, below a score that the validation part gives.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: file, rank (0: unknown), action, score.")] = False,
) -> None:
    """Label recordings, prepared as the training data were; with --views, several cameras' views as one.

    An array is (T, V, 3) or (M, T, V, 3) in metres, zeros where a body was not
    seen. What cannot be read is said on stderr and ends in exit code 2; all else
    is labelled.

    Example: danet predict weights.safetensors S001C001P001R001A001.skeleton
    """
    from danet.inference.output import Predictions, as_json_text, as_table, write_csv
    from danet.inference.predictor import Predictor

    if as_json and as_csv:
        raise UserError("expected one of --json and --csv, got both")
    predictor = Predictor(weights)
    if unknown:
        if unknown_below:
            raise UserError("expected one of --unknown and --unknown-below, got both")
        unknown_below = predictor.unknown_below
    predictions = Predictions(predictor, files, views, top, unknown_below)
    if as_json:
        print(as_json_text(predictions))
    elif as_csv:
        write_csv(predictions, sys.stdout)
    else:
        for lines in as_table(predictions):
            print(lines)
    if predictions.failed:
        raise typer.Exit(2)


@app.command("stream")
def stream_command(
    weights: Annotated[Path, typer.Argument(help="weights.safetensors of a run, or an exported .onnx.")],
    window: Annotated[int, typer.Option(min=1, help="How many of the latest frames to label.")] = 60,
    every: Annotated[int, typer.Option(min=1, help="Frames from one label to the next.")] = 15,
) -> None:
    """Label the latest frames of a stream: read a line of JSON a frame, print {"frame", "action", "score"} a label.

    Give each frame as {"bodies": ...}: a list of bodies, each a list of V joints,
    each a list x, y, z in metres. Or give the joints of one body alone. Say who
    is who by "ids" beside "bodies": an integer or a text for each body. Without
    ids keep each body at its place in the list, with zeros where it was not seen.
    Other keys are ignored, and told once.

    The last frame is always labelled. Action and score are null where nobody was
    seen.

    A bad line does not end the stream. It is told on stderr, and its frame shows
    nobody. From the eleventh on only the number of bad lines is told, every
    1,000. The exit code is 2 at the end if any line was bad. Bad is a line that
    is no frame, or has ids that do not fit. So is a coordinate that is no number
    or beyond 1,000,000 m, a frame of over 100 bodies, and a line over 1 MiB.

    Example: danet stream weights.safetensors < frames.jsonl
    """
    from danet.inference.frames import bounded_lines
    from danet.inference.predictor import Predictor
    from danet.inference.stream import BadLines, labels_of

    bad = BadLines()
    for label in labels_of(Predictor(weights), bounded_lines(sys.stdin.buffer), window, every, bad):
        print(readable_json(label), flush=True)
    bad.sum_up()
    if bad.count:
        raise typer.Exit(2)


@app.command("draw")
def draw_command(
    file: Annotated[Path, typer.Argument(help="A recording: .skeleton, .json, .txt, .mat or .npy.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The picture: .png for some frames, .gif to move.",
            show_default="the recording's name and .gif, in this folder",
        ),
    ] = None,
    attention: Annotated[Path | None, typer.Option(help="Weights whose attention to draw.")] = None,
    layout: Annotated[
        str, typer.Option(help="Joint layout, by name or YAML file.", show_default="by the number of joints")
    ] = "",
    frames: Annotated[int, typer.Option(min=1, help="The most frames to draw in a .gif; of more, every nth.")] = 600,
) -> None:
    """Draw the skeletons of a recording as its camera saw them; bodies that preparation drops are grey.

    Example: danet draw S001C001P001R001A001.skeleton --out drawn.gif
    """
    from danet.inference.draw import draw
    from danet.skeleton.layout import layout_named

    if attention and layout:
        raise UserError("expected one of --attention and --layout, got both")
    out = out or Path(f"{file.stem}.gif")
    drawn = draw(file, out, attention, layout=layout_named(layout) if layout else None, most=frames)
    print(json.dumps({"picture": str(out), **drawn}))


@app.command("estimate")
def estimate_command(
    run: Annotated[str, typer.Argument(help="Data set and protocol, as ntu60/cross_view.")],
    memory: Annotated[float, typer.Option(min=0.1, help="Memory of the GPU, or to spare for training, in GiB.")],
    method: Annotated[str, typer.Option(help="The method, by its name in the settings.", show_default="first")] = "",
    config: Annotated[Path, typer.Option(help="The settings.")] = Path("config/config.yaml"),
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = CORES,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Estimate what batch fits into a memory and how long a training takes, by computing a few steps on random clips.

    Example: danet estimate ntu60/cross_view --memory 8
    """
    with train_extra("compute steps of a training"):
        from danet.cost.estimate import as_text, estimate

    dataset, _, protocol = run.partition("/")
    settings = read_config(config)
    source = find_dataset(dataset, Path(settings.data) / CUSTOM)
    source.folds(protocol)
    if method and method not in settings.trained:
        raise UserError(f"expected one of the methods {', '.join(settings.trained)}, got '{method}'")
    chosen = settings.run(dataset, method or next(iter(settings.methods)))
    size = int(memory * (1 << 30))
    estimated = estimate(chosen, source, protocol, memory=size, results=Path("results"), threads=threads)
    print(json.dumps(estimated) if as_json else as_text(estimated))


export_app = typer.Typer(no_args_is_help=True, help="Write prepared sequences and networks as files of other projects.")
app.add_typer(export_app, name="export")

Centred = Annotated[Path, typer.Argument(help="What `danet prepare` wrote.")]
ExportProtocol = Annotated[str, typer.Option(help="cross_subject, cross_view or cross_setup.")]


@export_app.command("ctr-gcn")
def export_ctr_gcn_command(
    centred: Centred,
    protocol: ExportProtocol,
    out: Annotated[Path, typer.Option(help="The .npz to write: x_train, y_train, x_test, y_test.")],
) -> None:
    """Write the .npz that CTR-GCN and SkateFormer train on, and print the rows of each part as JSON.

    Example: danet export ctr-gcn ntu60.h5 --protocol cross_view --out NTU60_CV.npz
    """
    from danet.preparation.peer_formats import export_ctr_gcn

    print(json.dumps(export_ctr_gcn(centred, protocol, out)))


@export_app.command("sgn")
def export_sgn_command(
    centred: Centred,
    protocol: ExportProtocol,
    out: Annotated[Path, typer.Option(help="The .h5 to write: x, y, valid_x, valid_y, test_x, test_y.")],
) -> None:
    """Write the HDF5 file that SGN trains on, and print the rows of each part as JSON.

    Example: danet export sgn ntu60.h5 --protocol cross_view --out NTU_CV.h5
    """
    from danet.preparation.peer_formats import export_sgn

    print(json.dumps(export_sgn(centred, protocol, out)))


@export_app.command("onnx")
def export_onnx_command(
    weights: Annotated[Path, typer.Argument(help="weights.safetensors of a run.")],
    out: Annotated[Path, typer.Argument(help="The .onnx to write.")],
) -> None:
    """Write a trained network for ONNX Runtime, and print how far its scores are from torch's as JSON.

    `danet predict OUT FILE` then labels without torch.

    Example: danet export onnx weights.safetensors danet.onnx
    """
    with train_extra("export weights"):
        from danet.inference.export_onnx import export_onnx

        print(json.dumps(export_onnx(weights, out)))


import_app = typer.Typer(no_args_is_help=True, help="Take in what other projects wrote.")
app.add_typer(import_app, name="import")


@import_app.command("weights")
def import_weights_command(
    network: Annotated[str, typer.Argument(help="ctr_gcn, 2s_agcn or st_gcn_pp.")],
    file: Annotated[Path, typer.Argument(help="A checkpoint that its authors' code wrote: .pt or .pth.")],
    out: Annotated[Path, typer.Option(help="The weights.safetensors to write.")],
    dataset: Annotated[str, typer.Option(help="What it was trained on.", show_default="by the number of actions")] = "",
    stream: Annotated[
        Literal["joint", "bone", "joint_motion", "bone_motion"], typer.Option(help="What its clips hold.")
    ] = "joint",
    frames: Annotated[
        int, typer.Option(min=0, max=10_000, help="Frames of a clip.", show_default="those of its authors")
    ] = 0,
    people: Annotated[
        int, typer.Option(min=0, max=10, help="People of a clip.", show_default="those of the file, or the data set")
    ] = 0,
) -> None:
    """Turn a published network's checkpoint into weights that label recordings, and print what it is as JSON.

    Only tensors and plain values are read: a file with any other pickled object
    is refused.

    Example: danet import weights ctr_gcn ctr_gcn_joint.pt --out ctr_gcn.safetensors
    """
    with train_extra("import weights"):
        from danet.inference.import_weights import import_weights

    chosen = import_weights(network, file, out, dataset=dataset, stream=stream, frames=frames, people=people)
    print(json.dumps(chosen))


def _read_names(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError as error:
        got = what_instead(error)
    except UnicodeDecodeError:
        got = "one that is no UTF-8"
    raise UserError(f"{path}: expected a text file of sample names, got {got}")


def exit_code(command: Callable[[], object]) -> int:
    """Runs a command: 0 when it ends well, 2 and one line on stderr when the user can put it right."""
    try:
        command()
    except UserError as error:
        print(f"danet: {error}", file=sys.stderr)
        return 2
    return 0


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """What a terminal's letters cannot spell, as JSON escapes it."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def main() -> None:
    """The `danet` command."""
    codecs.register_error("danet", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="danet")
    logging.basicConfig(level=logging.WARNING, format="danet: %(message)s")
    sys.exit(exit_code(app))
