"""The commands that make own data of what other programs wrote, one a form."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from danet.cli.networks import import_app
from danet.errors import UserError
from danet.importing.found import LEAST_SCORE, Options
from danet.skeleton.layout import layout_named

Source = Annotated[Path, typer.Argument(help="A file, or a folder that is searched at any depth.")]
Out = Annotated[Path, typer.Option(help="The folder of own data to make; it must not be there yet.")]
OneLabel = Annotated[str, typer.Option(help="The label of all.", show_default="the folder that holds a recording")]
LabelTable = Annotated[
    Path | None,
    typer.Option(help="CSV of path or name, label and, if known, subject, view, split.", show_default=False),
]
LayoutName = Annotated[str, typer.Option("--layout", help="The joint layout, by name or YAML file.", show_default="")]
LeastScore = Annotated[float, typer.Option(min=0, max=1, help="A joint with a lower score was not seen.")]


def _import(
    form: str, source: Path, out: Path, label: str, labels: Path | None, layout: str, **options: object
) -> None:
    """Makes the folder and prints what it holds; exit code 2 where a recording could not be read."""
    from danet.importing.forms import import_form
    from danet.importing.own_data import Labels, read_labels

    if label and labels:
        raise UserError("expected one of --label and --labels, got both")
    chosen = Options(layout=layout_named(layout) if layout else None, **options)  # type: ignore[arg-type]
    made = import_form(form, source, out, chosen, read_labels(labels) if labels else Labels(label))
    print(json.dumps(made))
    if made["unreadable"]:
        raise typer.Exit(2)


@import_app.command("mediapipe")
def mediapipe_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
    least_score: LeastScore = LEAST_SCORE,
    aspect: Annotated[
        float, typer.Option(min=0, max=100, help="Width by height of the picture, as 1.78.", show_default="1")
    ] = 0,
) -> None:
    """Make own data of MediaPipe's pose landmarks: .npy, a .npy a frame, or JSON.

    World landmarks are taken where there are any. Visibility is the score.

    Example: danet import mediapipe landmarks --out data/custom
    """
    _import("mediapipe", source, out, label, labels, layout, least_score=least_score, aspect=aspect)


@import_app.command("openpose")
def openpose_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
    least_score: LeastScore = LEAST_SCORE,
) -> None:
    """Make own data of folders of OpenPose's JSON files, a file a frame.

    Example: danet import openpose output_json --out data/custom
    """
    _import("openpose", source, out, label, labels, layout, least_score=least_score)


@import_app.command("azure-kinect")
def azure_kinect_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
) -> None:
    """Make own data of Azure Kinect's body tracking JSON, millimetres of 32 joints.

    Example: danet import azure-kinect tracked --out data/custom
    """
    _import("azure-kinect", source, out, label, labels, layout)


@import_app.command("coco")
def coco_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
    least_score: LeastScore = LEAST_SCORE,
) -> None:
    """Make own data of key points in JSON as MMPose, YOLO-pose and COCO write them.

    Example: danet import coco predictions --out data/custom
    """
    _import("coco", source, out, label, labels, layout, least_score=least_score)


@import_app.command("csv")
def csv_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
    least_score: LeastScore = LEAST_SCORE,
    unit: Annotated[Literal["m", "cm", "mm", "pixel"], typer.Option(help="What x, y, z are in.")] = "m",
    y_down: Annotated[bool, typer.Option("--y-down", help="y points down, x to the right of the picture.")] = False,
) -> None:
    """Make own data of CSV files with the columns frame, joint, x, y and, if there are, z, confidence, body.

    A joint is a name of the layout, or its place in it from 0.

    Example: danet import csv tracked --layout kinect_v2_25 --out data/custom
    """
    _import("csv", source, out, label, labels, layout, least_score=least_score, unit=unit, y_down=y_down)


@import_app.command("pyskl")
def pyskl_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
    least_score: LeastScore = LEAST_SCORE,
    split: Annotated[str, typer.Option(help="Which of its splits, as xsub.", show_default="the first")] = "",
) -> None:
    """Make own data of a pickle of pyskl or MMAction2, with its labels and a split.

    Nothing in it is run: it is read as arrays and plain values, and any other is refused.

    Example: danet import pyskl ntu60_3danno.pkl --split xsub --out data/custom
    """
    _import("pyskl", source, out, label, labels, layout, least_score=least_score, split=split)


@import_app.command("ctr-gcn")
def ctr_gcn_command(
    source: Source,
    out: Out,
    label: OneLabel = "",
    labels: LabelTable = None,
    layout: LayoutName = "",
) -> None:
    """Make own data of CTR-GCN's .npz or SGN's .h5, with the parts of its split.

    Example: danet import ctr-gcn NTU60_CV.npz --out data/custom
    """
    _import("ctr-gcn", source, out, label, labels, layout)
