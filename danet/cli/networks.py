"""The commands about networks: estimate, export, import."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from danet.cli.options import CORES
from danet.config.settings import read_config
from danet.datasets.custom import CUSTOM
from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.extras import train_extra


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
