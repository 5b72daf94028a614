"""Writes what a training leaves behind: weights, those of every epoch, the history, and where all of it comes from."""

from pathlib import Path

import torch

from danet.io.files import write_json, write_text
from danet.io.provenance import git_state, versions
from danet.models.base import parameters_of
from danet.models.weights import describe, save_weights
from danet.results import HistoryRow, NearChance, RunRecord
from danet.training.checkpoint import State, kept_epochs
from danet.training.task import Task


def write_run(
    folder: Path,
    resume_folder: Path,
    task: Task,
    state: State,
    *,
    threshold: float | None,
    chance: NearChance | None,
    code: dict,
    device: str,
) -> None:
    """Writes `weights.safetensors`, `epochs.safetensors`, `history.jsonl` and `run.json` into `folder`.

    `epochs.safetensors` holds the weights after every epoch, where the settings keep them; else it is empty.
    `threshold` is the score below which a label is better called unknown. `chance` is there where the training ended
    near it.
    """
    settings, run = task.run.train, task.run
    description = task.description | describe(state.model)
    weights = state.ema_model.state_dict() if settings.refit else state.best
    save_weights(folder / "weights.safetensors", weights, description | {"unknown_below": threshold})
    epochs = kept_epochs(resume_folder, settings.epochs) if settings.keep_epochs else {}
    save_weights(folder / "epochs.safetensors", epochs, description)
    rows = [HistoryRow.model_validate(row).model_dump_json() for row in state.history]
    write_text(folder / "history.jsonl", "".join(f"{row}\n" for row in rows))
    chosen = state.chosen_epoch(len(task.validation.performances))
    record = RunRecord(
        **{key: value for key, value in task.description.items() if key not in ("prepare", "clips", "model")},
        title=task.dataset.title,
        settings=run.model_dump(mode="json", exclude={"evaluate", "attention"})
        | {"prepare": task.description["prepare"]},
        versions=versions(),
        git=git_state(),
        code=code,
        counts=task.counts,
        device=device,
        threads=torch.get_num_threads(),
        parameters=parameters_of(state.model),
        fused_members=state.model.fused_members,
        seconds=sum(row["seconds"] for row in state.history),
        epoch=chosen["epoch"],
        validation_top1=chosen["validation_top1"],
        near_chance=chance,
    )
    write_json(folder / "run.json", record.model_dump(mode="json"))
