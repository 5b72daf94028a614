"""Checkpoints of published networks become weights of ours, which label; nothing else in a file is believed."""

import json
import os
import pickle
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from conftest import GOOD, ROOT, START, fill, line_about
from test_published_networks import pieces

from danet.config.clips import ClipSettings
from danet.config.networks import read_network
from danet.config.recipes import recipe_of
from danet.datasets.ntu import NTU60
from danet.datasets.nw_ucla import NW_UCLA
from danet.errors import UserError
from danet.inference.import_weights import NETWORKS, import_weights
from danet.models.published import published_layout
from danet.models.registry import network_class
from danet.models.weights import load_model

SETS = {60: NTU60, 10: NW_UCLA}


def fresh(name: str, actions: int = 60):
    """A network as its authors have it, no number where it starts, and one clip of its people (1, 3, T, V, M)."""
    people, layout = (2 if actions == 60 else 1), published_layout(SETS[actions].layout, name)
    torch.manual_seed(3)
    network = network_class(name)(
        settings=read_network({"name": name, "people": people}),
        layout=layout,
        clips=ClipSettings(streams=("joint",)),
        actions=actions,
    ).eval()
    for each in network.state_dict().values():
        if each.is_floating_point():
            each.add_(0.02 * torch.randn(each.shape))
    return network, torch.randn(1, 3, 12, layout.size, people)


def checkpoint(network) -> dict[str, torch.Tensor]:
    """Its tensors as its authors' code has them, axes of one number at their end and all."""
    named = pieces(network, network.state_dict()).items()
    return {name: each[..., None, None] if "conv" in name and each.ndim == 2 else each.clone() for name, each in named}


def refused(tmp_path, held, name="ctr_gcn", **options) -> str:
    """The line about a file that holds this; nothing is written."""
    file = tmp_path / "x.pt"
    torch.save(held, file)
    with pytest.raises(UserError) as caught:
        import_weights(name, file, tmp_path / "w.safetensors", **options)
    assert not (tmp_path / "w.safetensors").exists()
    return line_about(file, caught.value)


@torch.no_grad()
@pytest.mark.parametrize("actions", SETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_give_the_logits_of_the_checkpoint(tmp_path, name, actions):
    network, clips = fresh(name, actions)
    torch.save(checkpoint(network), tmp_path / "x.pt")
    found = import_weights(name, tmp_path / "x.pt", tmp_path / "w.safetensors")
    assert (found["dataset"], found["people"]) == (SETS[actions].name, clips.shape[-1])
    loaded, description = load_model(tmp_path / "w.safetensors")
    assert torch.equal(loaded.logits_of(clips), network.logits_of(clips))
    assert description["actions"] == list(SETS[actions].actions)
    assert description["clips"]["frames"] == recipe_of("own", name, description["dataset"])["clips"]["frames"]


def module(names):
    return {f"module.{name}": each for name, each in names.items()}


def pyskl(names):
    whole = {name if name.startswith("backbone") else f"cls_head.{name}": each for name, each in names.items()}
    whole["backbone.data_bn.num_batches_tracked"] = torch.tensor(7)
    return {"meta": {"epoch": 16}, "state_dict": OrderedDict(whole)}


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "wrapped"),
    [
        ("ctr_gcn", module),
        ("2s_agcn", lambda names: {"model_state_dict": module(names), "epoch": 3}),
        ("ctr_gcn", lambda names: {"model": names}),
        ("st_gcn_pp", pyskl),
        ("st_gcn_pp", lambda names: {name.removeprefix("backbone."): each.half() for name, each in names.items()}),
    ],
)
def test_what_wraps_tensors_is_taken_off(tmp_path, name, wrapped):
    network, clips = fresh(name)
    torch.save(wrapped(checkpoint(network)), tmp_path / "x.pth")
    import_weights(name, tmp_path / "x.pth", tmp_path / "w.safetensors")
    logits = load_model(tmp_path / "w.safetensors")[0].logits_of(clips)
    torch.testing.assert_close(logits, network.logits_of(clips), rtol=1e-2, atol=1e-2)


class Hostile:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (os.fspath(self.folder),)


@pytest.mark.parametrize("save", [torch.save, lambda held, file: file.write_bytes(pickle.dumps(held))])
def test_pickled_objects_are_refused_and_do_nothing(tmp_path, save):
    file = tmp_path / "x.pt"
    save({"state_dict": Hostile(tmp_path / "made")}, file)
    with pytest.raises(UserError) as caught:
        import_weights("ctr_gcn", file, tmp_path / "w.safetensors")
    line_about(file, caught.value)
    assert list(tmp_path.iterdir()) == [file]


def test_a_pickled_object_is_named(tmp_path):
    said = refused(tmp_path, {"state_dict": Hostile(tmp_path / "made")})
    assert said.endswith("got a pickled posix.mkdir, which is refused since it could run code")


def test_other_files_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "noise.pt").write_bytes(b"no checkpoint" * 9)
    whole = tmp_path / "whole.pt"
    torch.save({"a": torch.zeros(99)}, whole)
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:-99])
    for name in ("none.pt", "pipe.pt", "noise.pt", "cut.pt"):
        with pytest.raises(UserError, match=f"{name}: expected a checkpoint of torch, got "):
            import_weights("ctr_gcn", tmp_path / name, tmp_path / "w.safetensors")


def test_wrong_tensors_are_named(tmp_path):
    names = checkpoint(fresh("ctr_gcn")[0])
    fewer = {name: each for name, each in names.items() if not name.startswith("l7.")}
    assert "got none named 'l7." in (said := refused(tmp_path, fewer))
    assert said.endswith("more")
    assert "alone, got 'x', 'y'" in refused(tmp_path, names | {"x": names["fc.bias"], "module.y": names["fc.bias"]})
    assert "got 'fc.bias' twice" in refused(tmp_path, names | {"module.fc.bias": names["fc.bias"].clone()})
    assert "got others of 'l2.gcn1.PA'" in refused(tmp_path, names | {"l2.gcn1.PA": torch.zeros(3, 20, 20)})
    bad = names["fc.bias"].clone()
    bad[3] = torch.nan
    for other in (bad, torch.zeros(60, dtype=torch.int64), torch.zeros(60).to_sparse()):
        assert "'fc.bias': expected finite numbers" in refused(tmp_path, names | {"fc.bias": other})
    assert "got none named 'gcn.0.gcn.A'" in refused(tmp_path, names, "st_gcn_pp")
    assert "expected the tensors of 2s_agcn, got none named" in refused(tmp_path, names, "2s_agcn")


@pytest.mark.parametrize("held", [3, [], {}, {"a": 3}, {3: torch.zeros(1)}, torch.zeros(3)])
def test_files_without_tensors_by_name_are_refused(tmp_path, held):
    assert "tensors by name" in refused(tmp_path, held)


def test_sizes_must_be_those_of_a_data_set(tmp_path):
    names = checkpoint(fresh("ctr_gcn")[0])
    assert "60 (ntu60), 120 (ntu120), 10 (nw_ucla) actions, got 7; say --dataset" in refused(
        tmp_path, names | {"fc.weight": torch.zeros(7, 256)}
    )
    assert "the 120 actions and 25 joints of ntu120, got 60 and 25" in refused(tmp_path, names, dataset="ntu120")
    assert "25 or 20 joints, got 17" in refused(tmp_path, names | {"l1.gcn1.PA": torch.zeros(3, 17, 17)})
    for size in (0, 151, 75 * 11):
        assert f"got {size} numbers" in refused(tmp_path, names | {"data_bn.weight": torch.zeros(size)})
    assert "a network of 1 people, got one of 2" in refused(tmp_path, names, people=1)


def test_options_say_what_a_file_does_not(tmp_path):
    torch.save(checkpoint(fresh("st_gcn_pp")[0]), tmp_path / "x.pt")
    out = tmp_path / "w.safetensors"
    import_weights("st_gcn_pp", tmp_path / "x.pt", out, dataset="ntu60", stream="bone", frames=32, people=1)
    model, description = load_model(out)
    assert (model.people, description["clips"]["frames"], description["clips"]["streams"]) == (1, 32, ["bone"])
    with pytest.raises(UserError, match="one of the networks 2s_agcn, ctr_gcn, st_gcn_pp, got 'danet'"):
        import_weights("danet", tmp_path / "x.pt", out)


def danet(*arguments) -> subprocess.CompletedProcess:
    """The command, which must end well."""
    environment = os.environ | {"PYTHONPATH": os.fspath(ROOT)}
    command = [sys.executable, "-c", START, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


def test_recordings_are_labelled(tmp_path, good):
    out, raw = tmp_path / "w.safetensors", fill(tmp_path / "raw", good)
    torch.save(checkpoint(fresh("st_gcn_pp")[0]), tmp_path / "x.pt")
    imported = danet("import", "weights", "st_gcn_pp", tmp_path / "x.pt", "--out", out, "--frames", 16)
    assert json.loads(imported.stdout)["parameters"] > 1e6
    (told,) = imported.stderr.splitlines()
    assert told.startswith(f"danet: {out}: labels may be worse than published, as clips are made otherwise: ")
    labelled = json.loads(danet("predict", "--json", "--top", 1, out, raw).stdout)
    predictions = {os.path.basename(each["file"]): each["predictions"][0]["action"] for each in labelled}
    assert predictions.keys() == {f"{name}.skeleton" for name in GOOD}
    assert set(predictions.values()) <= set(NTU60.actions)
