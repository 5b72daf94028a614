"""Writes and reads the state of a run after each epoch, so that an interrupted run goes on as if nothing was."""

import copy
import json
import logging
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from danet.errors import UserError, brief
from danet.models.base import SkeletonModel
from danet.models.weights import read_tensors, save_weights
from danet.results import HistoryRow

FILE = "state.safetensors"
KNOWN = re.compile(r"(state|epoch\d+)\.safetensors|\.(state|epoch\d+)\.safetensors\..*partial")
log = logging.getLogger(__name__)


@dataclass
class State:
    """All that changes from epoch to epoch. `history` has a row an epoch; those of a refit have no validation."""

    model: SkeletonModel
    ema_model: SkeletonModel  # the running mean of the weights, which is what is evaluated and kept
    optimizers: tuple[torch.optim.Optimizer, ...]
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)

    def chosen_epoch(self, samples: int) -> dict:
        """The last row whose validation accuracy is within one standard error of the highest.

        The one-standard-error rule (Breiman et al., Classification and Regression Trees, 1984), here in favour of a
        longer training: on few `samples` the highest accuracy is mostly luck. Without any validation, the last row.
        """
        checked = [row for row in self.history if row["validation_top1"] is not None]
        if not checked:
            return self.history[-1]
        highest = max(row["validation_top1"] for row in checked)
        error = (highest * (1 - highest) / samples) ** 0.5
        return [row for row in checked if row["validation_top1"] >= highest - error][-1]

    def close_epoch(self, row: dict, samples: int) -> None:
        """Adds an epoch to the history, and remembers the weights if it is the one to choose so far."""
        self.history.append({"epoch": len(self.history) + 1, **row})
        if self.chosen_epoch(samples) is self.history[-1]:
            self.best = {key: value.detach().cpu().clone() for key, value in self.ema_model.state_dict().items()}

    def start_over(self, fresh: "State") -> None:
        """Takes an untrained network in place of the trained one; the history stays."""
        self.model, self.ema_model, self.optimizers = fresh.model, fresh.ema_model, fresh.optimizers


def keep(state: State, folder: Path, identity: dict) -> None:
    """Writes the whole state. `identity` says which run it belongs to: its `train` settings, whether to keep epochs."""
    if identity["train"]["keep_epochs"]:
        save_weights(_epoch(folder, len(state.history)), state.ema_model.state_dict(), {})
    tensors = {f"model.{key}": value for key, value in state.model.state_dict().items()}
    tensors |= {f"ema_model.{key}": value for key, value in state.ema_model.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in state.best.items()}
    for number, optimizer in enumerate(state.optimizers):
        for index, moments in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer{number}.{index}.{key}": value for key, value in moments.items()}
    save_weights(folder / FILE, tensors, identity | {"history": state.history})


def resume(state: State, folder: Path, identity: dict) -> None:
    """Takes up what `keep` wrote, if it belongs to the very same run; else the run starts anew.

    It starts anew, too, where the state or a kept epoch is damaged or missing: training again costs time, and nothing
    else can put that right.
    """
    if not (folder / FILE).exists():
        return
    fresh = copy.deepcopy(_state_dicts(state))
    try:
        tensors, written = read_tensors(folder / FILE)
        history = written.pop("history")
        if written != json.loads(json.dumps(identity)):
            log.info("%s belongs to other settings, data or code: starting anew", folder)
            return
        _check_history(history)
        if identity["train"]["keep_epochs"]:
            _check_epochs(folder, min(len(history), identity["train"]["epochs"]), fresh[0])
        best = _take_up(state, tensors)
    except (UserError, KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        _put_back(state, fresh)
        log.warning("%s: expected the state of this run, got: %s; starting anew", folder, brief(error, 300))
        return
    state.best, state.history = best, history
    log.info("resuming after epoch %d", len(history))


def _take_up(state: State, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Loads networks and optimizers, and returns the weights of the epoch that is chosen so far."""
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        group, _, rest = key.partition(".")
        groups[group][rest] = value
    state.model.load_state_dict(groups["model"])
    state.ema_model.load_state_dict(groups["ema_model"])
    for number, optimizer in enumerate(state.optimizers):
        moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for key, value in groups[f"optimizer{number}"].items():
            index, _, name = key.partition(".")
            moments[int(index)][name] = value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return groups["best"]


def _state_dicts(state: State) -> list[dict]:
    parts: tuple[Any, ...] = (state.model, state.ema_model, *state.optimizers)
    return [each.state_dict() for each in parts]


def _put_back(state: State, before: list[dict]) -> None:
    parts: tuple[Any, ...] = (state.model, state.ema_model, *state.optimizers)
    for each, values in zip(parts, before, strict=True):
        each.load_state_dict(values)


def _check_history(history: list[dict]) -> None:
    """Raises ValueError unless the rows are those of the epochs 1, 2 and so on."""
    epochs = [HistoryRow.model_validate(row).epoch for row in history]
    if not epochs or epochs != list(range(1, len(epochs) + 1)):
        raise ValueError(f"expected a row for each epoch, got {epochs}")


def _check_epochs(folder: Path, count: int, like: dict[str, Tensor]) -> None:
    """Raises UserError unless the weights of each of the first `count` epochs are there and are named so."""
    for epoch in range(1, count + 1):
        if read_tensors(_epoch(folder, epoch))[0].keys() != like.keys():
            raise UserError(f"{_epoch(folder, epoch)}: expected the weights of this network, got others")


def kept_epochs(folder: Path, count: int) -> dict[str, Tensor]:
    """The evaluated weights after each of the first `count` epochs, by epoch and name: `12.label.weight`."""
    every = {epoch: read_tensors(_epoch(folder, epoch))[0] for epoch in range(1, count + 1)}
    return {f"{epoch}.{key}": value for epoch, tensors in every.items() for key, value in tensors.items()}


def _epoch(folder: Path, epoch: int) -> Path:
    return folder / f"epoch{epoch}.safetensors"


def forget(folder: Path) -> None:
    """Removes the state of a run that has ended. What else lies there stays, and never fails the run."""
    try:
        for file in folder.iterdir():
            if KNOWN.fullmatch(file.name) and not file.is_dir():
                file.unlink()
        if left := sorted(file.name for file in folder.iterdir()):
            log.warning("%s: expected files of this run only, got %s; they stay", folder, brief(", ".join(left)))
        else:
            folder.rmdir()
    except FileNotFoundError:  # no state was kept
        return
    except OSError as error:
        log.warning("%s: expected to remove it, got: %s; it stays", folder, brief(error))
