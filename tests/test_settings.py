"""The settings: what is wrong is named, changes are laid over the rest, and what is made from them is up to date."""

import os
import time
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from danet.config.base import REMOVED, RENAMED, overlaid
from danet.config.networks import NETWORKS
from danet.config.settings import Config, check_config, read_config
from danet.errors import UserError
from danet.models.registry import CLASSES
from danet.pipeline.runs import requested_runs
from danet.skeleton.layout import read_layout
from tools.generate import schema, settings_page

ROOT = Path(__file__).parents[1]
VARIANTS = {"joint": {"clips": {"streams": ["joint"]}}, "bone": {"clips": {"streams": ["bone"]}}}


def refusal(values):
    """What `check_config` says of these values, in one line."""
    with pytest.raises(UserError) as caught:
        check_config(values)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def nested(name, value):
    """The settings in which that of this name, as `train.epochs`, has the value."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def models_in(name, kind=Config):
    """The classes of settings that lie under a name, as `train`: of `model` those of all networks."""
    if name == "model":
        return NETWORKS
    annotation = kind.model_fields[name].annotation
    return (annotation,) if isinstance(annotation, type) and issubclass(annotation, BaseModel) else ()


def test_config_that_is_shipped_is_sound():
    config = check_config(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    assert config.runs == "auto"
    assert read_config(ROOT / "config/config.yaml") == config


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"trian": {}}, "'trian': no such setting"),
        ({"train": {"epoch": 3}}, "'train.epoch': no such setting"),
        ({"model": {"epoch": 3}}, "'model.epoch': no such setting"),
        ({"model": {"name": "dnaet"}}, "'model': expected the name of a network, 'danet', "),
        ({"datasets": {"demo": {"train": {"epoch": 3}}}}, "datasets.demo: 'train.epoch': no such setting"),
        ({"datasets": {"nwucla": {}}}, "nwucla"),
        ({"train": {"epochs": 0}}, "'train.epochs'"),
        ({"model": {"width": 0}}, "'model.width'"),
        ({"clips": {"streams": []}}, "'clips.streams'"),
        ({"model": {"width": 30, "heads": 4}}, "multiple of 'heads', got 30 and 4"),
        ({"train": {"refit": True}, "split": {"validation_share": 0}}, "above 0 for 'train.refit'"),
        ({"ablation": {"variants": {"complete": {}}}, "methods": {"complete": {}}}, "each once, got 'complete'"),
        ({"methods": {"joint": {}}, "ablation": {"variants": VARIANTS}}, "each once, got 'joint'"),
        ({"ensembles": {"danet": ["danet"]}}, "each once, got 'danet'"),
        ({"ablation": {"variants": {"a/b": {}}}}, "got 'a/b'"),
        ({"methods": {"A": {}}}, "got 'A'"),
        ({"methods": {}}, "'methods': "),
        ({"ablation": {"variants": {"a": {"trian": {}}}}, "datasets": {"demo": {}}}, "ablation.variants.a: 'trian'"),
        ({"methods": {"a": {"trian": {}}}}, "methods.a: 'trian': no such setting"),
        ({"methods": {"a": {"model": {"width": 30}}}}, "methods.a: 'model"),
        ({"clips": {"frames": 15}}, "multiple of 'patch_frames'"),
        ({"clips": {"frames": 12}}, "multiple of 'segments'"),
        (
            {"clips": {"streams": ["joint"]}, "model": {"encoders": [["joint"], ["bone"]]}},
            "streams', joint, got bone",
        ),
        ({"model": {"encoders": [[]]}}, "'model.encoders.0': "),
        ({"runs": [1]}, "'runs': expected a name, or a list of names, got [1]"),
        ({"runs": 3}, "'runs': expected a name, or a list of names, got 3"),
        ({"ablate": ["demo", ["b"]]}, "'ablate': expected a name, or a list of names, got ['demo', ['b']]"),
    ],
)
def test_check_config_names_what_is_wrong(values, named):
    assert named in refusal(values)


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_check_config_refuses_an_old_name_by_the_new_one(old, new):
    told = f"'{old}': now called '{new}'"
    assert refusal(nested(old, 1)) == f"config: {told}"
    if old != "ablation.fused":  # which is the same for all data sets
        changes = nested(old, 1)
        assert refusal({"datasets": {"demo": changes}}) == f"config: datasets.demo: {told}"
        assert told in refusal({"methods": {"a": changes}})


@pytest.mark.parametrize("new", RENAMED.values())
def test_renamed_settings_are_settings(new):
    *group, name = new.split(".")
    fields = Config.model_fields
    if group:
        fields = {name: field for kind in models_in(*group) for name, field in kind.model_fields.items()}
    assert name in fields


@pytest.mark.parametrize("name", REMOVED)
def test_check_config_says_what_was_removed(name):
    assert refusal(nested(name, 1)) == f"config: '{name}': no such setting any more"


def test_check_config_takes_numbers_of_the_command_line():
    """Snakemake hands on what `--config` nests as text."""
    given = {"train": {"epochs": "3", "learning_rate": "2e-3", "refit": "false"}, "seeds": ["0", "1"]}
    config = check_config(given | {"datasets": {"demo": {"clips": {"frames": "16"}}}})
    assert (config.train.epochs, config.train.learning_rate, config.train.refit, config.seeds) == (
        3,
        2e-3,
        False,
        (0, 1),
    )
    assert config.run("demo").clips.frames == 16


def test_read_config_refuses_what_is_no_settings(tmp_path):
    for text, got in (("- 1", r"expected settings by name, got \[1\]"), ("", "expected settings by name, got nothing")):
        (tmp_path / "config.yaml").write_text(text)
        with pytest.raises(UserError, match=rf"config\.yaml: {got}$"):
            read_config(tmp_path / "config.yaml")


BOMB = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9 if n else ['x'] * 9)}]\n" for n in range(9))
YAML_OF_NO_VALUE = {  # a text, and part of what is got
    "aliases": (BOMB, "more than 100,000 values in line 6"),
    "merged": (BOMB.replace("[", "{<<: [").replace("]", "]}").replace("x", "{x: 1}"), "more than 100,000 values"),
    "chain": (
        "".join(f"a{n}: &a{n} [{f'*a{n - 1}' if n else 1}]\n" for n in range(1000)),
        "more than 100,000 values",
    ),
    "endless": ("a: &a [*a]", "the alias '*a' inside of what it stands for in line 1"),
    "date": ("data: 2020-99-99", "'2020-99-99', which is no date in line 1"),
    "truth": ("runs: 1\ndata: !!bool maybe", "'maybe', which is no true or false in line 2"),
    "no_whole_number": ("data: !!int ''", "which is no whole number in line 1"),
    "long_number": ("seeds: [" + "9" * 5000 + "]", "which is no whole number in line 1"),
    "no_timestamp": ("data: !!timestamp x", "'x', which is no date in line 1"),
    "brackets": ("[" * 5000, "more than 32 levels, one inside the other in line 1"),
    "dashes": ("- " * 5000, "more than 32 levels"),
    "open_bracket": ("a: [", "in line 1"),
    "two_documents": ("a: 1\n---\na: 2", "in line 2"),
    "no_text": (b"data: \xff", "a byte 0xff, which is no UTF-8"),
    "nul": ("\0", "special characters are not allowed"),
    "object": ("data: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    "key_that_is_a_list": ("? [a]\n: 1", "unhashable key"),
}


@pytest.mark.parametrize("kind", YAML_OF_NO_VALUE)
@pytest.mark.parametrize(("read", "what"), [(read_config, "settings"), (read_layout, "a layout")])
def test_yaml_that_is_no_value_is_refused_soon_and_in_one_line(tmp_path, kind, read, what):
    text, got = YAML_OF_NO_VALUE[kind]
    file = tmp_path / "file.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    begun = time.perf_counter()
    with pytest.raises(UserError) as caught:
        read(file)
    assert time.perf_counter() - begun < 30, "it ends, whatever the file holds"
    told = str(caught.value)
    assert f"file.yaml: expected a YAML file of {what}, got: " in told
    assert got in told
    assert told.isprintable()
    assert len(told) <= 500


def test_yaml_is_read_from_files_up_to_a_bound(tmp_path):
    file = tmp_path / "file.yaml"
    file.write_text("#" * 300_000)
    with pytest.raises(UserError, match=r"settings of at most 262,144 bytes, got one of 300,000 bytes$"):
        read_config(file)
    with pytest.raises(UserError, match=r"absent\.yaml: expected a YAML file of settings, got none$"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match=r"expected a YAML file of settings, got a folder$"):
        read_config(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match=r"expected a YAML file of settings, got a pipe or a device$"):
        read_config(tmp_path / "pipe")


def endless(levels, leaf="x"):
    value = [leaf] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"attention": endless(20)}, "expected at most 100,000 values, got more"),
        ({"methods": {"a": {"b": endless(20)}}}, "expected at most 100,000 values, got more"),
        (nested(".".join("a" * 50), 1), "expected at most 40 levels"),
        ({"data": endless(3)}, "'data': expected text, got [[[["),
        ({"x" * 100_000: 1}, f"'{'x' * 57}...': no such setting"),
        ({"train": {f"a{n}": 1 for n in range(1000)}}, "and 995 more"),
        (
            {"train": {"epochs": 10**6000}},
            "'train.epochs': expected 100000 or less, got a number of more than 40 digits",
        ),
    ],
)
def test_check_config_never_spells_out_a_whole_value(values, told):
    begun = time.perf_counter()
    refused = refusal(values)
    assert time.perf_counter() - begun < 30, "it ends, whatever the file holds"
    assert told in refused
    assert len(refused) <= 500


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("train.learning_rate", float("inf"), "expected a finite number, got inf"),
        ("train.max_grad_norm", float("nan"), "expected a finite number, got nan"),
        ("prepare.widest_spread", float("inf"), "expected a finite number, got inf"),
        ("train.learning_rate", True, "expected a number, got true"),
        ("train.learning_rate", "fast", "expected a number, got 'fast'"),
        ("clips.test_crops", [1.0, True], "expected a number, got true"),
        ("train.epochs", True, "expected a whole number, got true"),
        ("train.epochs", 1.5, "expected a whole number, got 1.5"),
        ("train.epochs", None, "expected a whole number, got nothing"),
        ("train.epochs", 0, "expected more than 0, got 0"),
        ("model.blocks", False, "expected a whole number, got false"),
        ("model.width", 4100, "expected 4096 or less, got 4100"),
        ("clips.frames", 10_008, "expected 10000 or less, got 10008"),
        ("clips.test_crops", [1.0] * 65, "expected at most 64 of them, got more"),
        ("clips.streams", ["joint"] * 6, "expected at most 5 of them, got more"),
        ("clips.streams", "joint", "expected a list, got 'joint'"),
        ("seeds", 3, "expected a list of numbers, as [0, 1], got 3"),
        ("seeds", "01", "expected a list of numbers, as [0, 1], got '01'"),
        ("ablation.seeds", 3, "expected a list of numbers, as [0, 1], got 3"),
        ("seeds", [0, 1, 0], "expected each seed once, got 0 twice"),
        ("seeds", [-1], "expected 0 or more, got -1"),
        ("seeds", [2**32], "expected 4294967295 or less, got 4294967296"),
        ("seeds", [True], "expected a whole number, got true"),
        ("seeds", [], "expected at least 1 of them, got 0"),
        ("train", 3, "expected values by name, got 3"),
        ("train.refit", 3, "expected true or false, got 3"),
        ("train.schedule", "linear", "expected 'cosine', 'constant' or 'step', got 'linear'"),
    ],
)
def test_check_config_refuses_senseless_values_in_words(name, value, told):
    refused = refusal(nested(name, value))
    assert refused.startswith(f"config: '{name}")
    assert refused.endswith(f"': {told}")


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ({"schedule": "step"}, "expected 'milestones' for the 'schedule' step, got none"),
        ({"milestones": [3]}, "expected no 'milestones' for another 'schedule' than step, got [3]"),
        ({"milestones": [5, 5], "schedule": "step"}, "expected rising 'milestones' below 60 'epochs', got [5, 5]"),
        ({"milestones": [9, 5], "schedule": "step"}, "expected rising 'milestones' below 60 'epochs', got [9, 5]"),
        ({"milestones": [30, 60], "schedule": "step"}, "expected rising 'milestones' below 60 'epochs', got [30, 60]"),
    ],
)
def test_check_config_refuses_milestones_that_mean_nothing(train, told):
    assert refusal({"train": train}) == f"config: 'train': {told}"


def test_method_has_an_optimizer_and_a_schedule_of_its_own():
    """Digits are text where Snakemake hands on what `--config` nests."""
    recipe = {
        "optimizer": "sgd",
        "learning_rate": "0.1",
        "schedule": "step",
        "milestones": ["35", "55"],
        "epochs": "65",
    }
    config = check_config({"methods": {"danet": {}, "peer": {"train": recipe}}})
    danet, peer = (config.run("demo", method).train for method in ("danet", "peer"))
    assert (danet.optimizer, danet.schedule, danet.milestones) == ("muon", "cosine", ())
    assert (peer.optimizer, peer.schedule, peer.milestones, peer.decay_factor) == ("sgd", "step", (35, 55), 0.1)


def test_check_config_takes_numbers_as_yaml_writes_them():
    config = check_config(yaml.safe_load("train: {learning_rate: 1e-3, weight_decay: 0, epochs: 3}\nseeds: [7, 0]"))
    assert (config.train.learning_rate, config.train.weight_decay, config.seeds) == (0.001, 0, (7, 0))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("trian", "train"),
        ("train.epoch", "epochs"),
        ("model.widht", "width"),
        ("clips.frame", "frames"),
        ("ablation.variant", "variants"),
    ],
)
def test_check_config_says_which_setting_was_meant(name, meant):
    assert refusal(nested(name, 1)) == f"config: '{name}': no such setting, did you mean '{meant}'?"
    assert refusal({"train": {"qqqqq": 1}}) == "config: 'train.qqqqq': no such setting"


def test_data_set_changes_only_what_it_names():
    config = check_config({"train": {"epochs": 7, "batch_size": 8}, "datasets": {"demo": {"train": {"epochs": 2}}}})
    assert (config.run("demo").train.epochs, config.run("demo").train.batch_size) == (2, 8)
    assert config.run("nw_ucla").train.epochs == 7


def test_variant_changes_the_shortened_schedule_of_its_data_set():
    ablation = {"schedule": {"train": {"epochs": 3}}, "variants": {"no_parts": {"model": {"parts": False}}}}
    config = check_config({"ablation": ablation, "datasets": {"demo": {"train": {"batch_size": 8}}}})
    complete, changed, whole = (config.run("demo", method) for method in ("complete", "no_parts", "danet"))
    assert (complete.train.epochs, changed.train.epochs, whole.train.epochs) == (3, 3, 60)
    assert complete.train.batch_size == changed.train.batch_size == 8
    assert (complete.model.parts, changed.model.parts) == (True, False)


def test_method_is_laid_over_its_data_set_and_changed_by_it():
    methods = {"danet": {}, "long": {"train": {"epochs": 90}, "seeds": [0, 1]}}
    demo = {"train": {"epochs": 2, "batch_size": 8}, "methods": {"long": {"train": {"warmup_epochs": 1}}}}
    config = check_config({"methods": methods, "datasets": {"demo": demo}})
    danet, long = (config.run("demo", method) for method in methods)
    assert (danet.train.epochs, danet.train.batch_size, danet.train.warmup_epochs, danet.seeds) == (2, 8, 5, (0,))
    assert (long.train.epochs, long.train.batch_size, long.train.warmup_epochs, long.seeds) == (90, 8, 1, (0, 1))
    assert config.run("nw_ucla", "long").train.warmup_epochs == 5


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"methods": {"a": {"split": {"validation_share": 0.2}}}}, "methods.a"),
        ({"ablation": {"schedule": {"split": {}}}}, "ablation.variants.complete"),
        ({"datasets": {"demo": {"methods": {"danet": {"split": {}}}}}}, "datasets.demo, methods.danet"),
    ],
)
def test_method_may_not_change_the_split(values, where):
    assert f"{where}: expected all methods to share one 'split', got one of its own" in refusal(values)


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ({"dante": {}}, "some of danet, complete, got 'dante'"),
        (3, "changes by method, got 3"),
        ({"danet": 3}, "changes by method, got {'danet': 3}"),
    ],
)
def test_data_set_refuses_changes_of_no_method(methods, told):
    refused = refusal({"datasets": {"demo": {"methods": methods}}})
    assert refused == f"config: expected in 'datasets.demo.methods' {told}"


@pytest.mark.parametrize(
    ("members", "got"), [(["joint"], "joint"), (["danet", "complete"], "danet, complete"), ([], "none")]
)
def test_ensemble_of_unknown_members_is_refused(members, got):
    told = f"config: expected the ensemble 'both' to be of some of danet, or of complete, got {got}"
    assert refusal({"ensembles": {"both": members}}) == told


def test_ensemble_is_a_list_or_says_how_its_members_are_weighed():
    methods = {"methods": {"a": {}, "b": {}}}
    listed = check_config(methods | {"ensembles": {"both": ["a", "b"]}}).ensembles["both"]
    weighed = check_config(methods | {"ensembles": {"both": {"members": ["a", "b"], "weights": "validation"}}})
    assert (listed.members, listed.weights) == (("a", "b"), "equal")
    assert (weighed.ensembles["both"].members, weighed.ensembles["both"].weights) == (("a", "b"), "validation")


@pytest.mark.parametrize(
    ("ensemble", "told"),
    [
        ("a", "'ensembles.both': expected a list, got 'a'"),
        (["a", 1], "'ensembles.both.1': expected text, got 1"),
        ({"weights": "equal"}, "'ensembles.both.members': expected a value, got none"),
        (
            {"members": ["danet"], "weights": "best"},
            "'ensembles.both.weights': expected 'equal' or 'validation', got 'best'",
        ),
        ({"members": ["danet"], "wieghts": "equal"}, "'ensembles.both.wieghts': no such setting"),
        ({"members": ["a"]}, "expected the ensemble 'both' to be of some of danet, or of complete, got a"),
    ],
)
def test_ensemble_that_is_none_is_refused(ensemble, told):
    assert refusal({"ensembles": {"both": ensemble}}) == f"config: {told}"


def test_ensembles_of_are_those_whose_members_are_there():
    ensembles = {"streams": ["joint", "bone"], "two": ["danet", "wide"]}
    methods = {"danet": {}, "wide": {"model": {"width": 128}}}
    config = check_config({"methods": methods, "ensembles": ensembles, "ablation": {"variants": VARIANTS}})
    assert config.ensembles_of(config.methods) == ["two"]
    assert config.ensembles_of(config.ablation.methods) == ["streams"]


def test_overlaid_lays_changes_over_mapping_by_mapping():
    below = {"model": {"name": "danet", "width": 64, "parts": True}, "train": {"epochs": 3}, "seeds": [0, 1]}
    above = {"model": {"width": 32}, "seeds": [2]}
    expected = {"model": {"name": "danet", "width": 32, "parts": True}, "train": {"epochs": 3}, "seeds": [2]}
    assert overlaid(below, above) == expected
    assert below["model"]["width"] == 64


def test_overlaid_replaces_a_model_of_another_name():
    below = {"model": {"name": "danet", "width": 64}, "train": {"epochs": 3}}
    assert overlaid(below, {"model": {"name": "other"}})["model"] == {"name": "other"}
    assert overlaid(below, {"model": {"name": "danet", "heads": 2}})["model"] == below["model"] | {"heads": 2}
    assert overlaid({"model": {"name": "other"}}, {"model": {"name": "danet", "heads": 2}}) == {
        "model": {"name": "danet", "heads": 2}
    }


@pytest.mark.parametrize(
    ("made", "path"), [(schema, "workflow/schemas/config.schema.json"), (settings_page, "docs/settings.md")]
)
def test_generate_finds_what_it_made_up_to_date(made, path):
    assert (ROOT / path).read_text() == made(), "run `make docs`"


def test_settings_are_all_explained():
    explained = 0
    for group, field in Config.model_fields.items():
        assert field.description, group
        for kind in models_in(group):
            for name, part in kind.model_fields.items():
                assert part.description, f"{group}.{name}"
                explained += 1
    assert explained > 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 3}, "'seeds': expected a list of numbers, as [0, 1], got 3"),
        ({"runs": 3}, "'runs': expected a name, or a list of names, got 3"),
        ({"runs": ["demo", 3]}, "'runs': expected a name, or a list of names, got ['demo', 3]"),
        ({"ablate": {"demo": 1}}, "'ablate': expected a name, or a list of names, got {'demo': 1}"),
        ({"model": 3}, f"'model': expected the name of a network, {', '.join(map(repr, CLASSES))}, got 3"),
        ({"clips": {"streams": [3]}}, "'joint_motion', 'bone_motion' or 'distance', got 3"),
    ],
)
def test_messages_have_no_words_of_python_or_pydantic(settings, message):
    with pytest.raises(UserError) as caught:
        check_config(settings)
    assert str(caught.value).endswith(message)


@pytest.mark.parametrize("runs", ["auto", "demo", "custom", "ntu60"])
@pytest.mark.parametrize("data", ["a" * 300, "a\0b", "a/" * 3000])
def test_folder_that_no_system_takes_is_one_that_is_not_there(runs, data):
    config = check_config({"data": data, "runs": runs})
    if runs in ("auto", "demo"):
        assert {dataset for dataset, _ in requested_runs(config)} == {"demo"}
        return
    with pytest.raises(UserError) as caught:
        requested_runs(config)
    assert len(str(caught.value)) <= 500
    assert ", got " in str(caught.value)
