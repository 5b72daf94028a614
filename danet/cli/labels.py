"""The commands that label and draw recordings: predict, stream, draw."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from danet.cli.options import RecordedLayout
from danet.errors import UserError
from danet.io.files import readable_json


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
    layout: RecordedLayout = "",
) -> None:
    """Label recordings, prepared as the training data were; with --views, several cameras' views as one.

    An array is (T, V, 3) or (M, T, V, 3) in metres, zeros where a body was not
    seen. What cannot be read is said on stderr and ends in exit code 2; all else
    is labelled.

    With --layout joints are matched to those of the weights by name. Which ones
    the recordings lack is said on stderr.

    Example: danet predict weights.safetensors S001C001P001R001A001.skeleton
    """
    from danet.inference.output import Predictions, as_json_text, as_table, write_csv
    from danet.inference.predictor import Predictor
    from danet.skeleton.layout import layout_named

    if as_json and as_csv:
        raise UserError("expected one of --json and --csv, got both")
    predictor = Predictor(weights, layout_named(layout) if layout else None)
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


def stream_command(
    weights: Annotated[Path, typer.Argument(help="weights.safetensors of a run, or an exported .onnx.")],
    window: Annotated[int, typer.Option(min=1, help="How many of the latest frames to label.")] = 60,
    every: Annotated[int, typer.Option(min=1, help="Frames from one label to the next.")] = 15,
    layout: RecordedLayout = "",
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
    from danet.skeleton.layout import layout_named

    bad = BadLines()
    predictor = Predictor(weights, layout_named(layout) if layout else None)
    for label in labels_of(predictor, bounded_lines(sys.stdin.buffer), window, every, bad):
        print(readable_json(label), flush=True)
    bad.sum_up()
    if bad.count:
        raise typer.Exit(2)


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
        str, typer.Option(help="Joint layout, by name or YAML file.", show_default="by format or number of joints")
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
