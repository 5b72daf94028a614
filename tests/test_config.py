"""The settings: what is wrong is named, what a data set changes is laid over the rest, and the schema is up to date."""

from pathlib import Path

import pytest
import yaml

from danet.config.settings import Config, Run, check_config
from danet.errors import UserError
from tools.generate import schema, settings_page

ROOT = Path(__file__).parents[1]


def test_the_shipped_settings_are_sound():
    config = check_config(yaml.safe_load((ROOT / "config/config.yaml").read_text()))
    assert config.runs == "auto"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"trian": {}}, "'trian': no such setting"),
        ({"train": {"epoch": 3}}, "'train.epoch': no such setting"),
        ({"datasets": {"demo": {"train": {"epoch": 3}}}}, "datasets.demo: 'train.epoch': no such setting"),
        ({"datasets": {"nwucla": {}}}, "nwucla"),
        ({"train": {"epochs": 0}}, "'train.epochs'"),
        ({"clips": {"streams": []}}, "'clips.streams'"),
        ({"model": {"width": 30, "heads": 4}}, "multiple of 'heads'"),
        ({"train": {"refit": True}, "split": {"validation_share": 0}}, "above 0 for 'train.refit'"),
        ({"ablation": {"variants": {"complete": {}}}}, "each once, found 'complete'"),
        ({"ablation": {"variants": {"a/b": {}}}}, "found 'a/b'"),
        ({"ablation": {"fused": {"both": ["joint"]}}}, "found 'joint'"),
        ({"ablation": {"variants": {"a": {"trian": {}}}}, "datasets": {"demo": {}}}, "variants.a: 'trian'"),
        ({"clips": {"frames": 15}}, "multiple of 'stride'"),
        ({"clips": {"frames": 12}}, "multiple of 'stretches'"),
        (
            {"clips": {"streams": ["joint"]}, "model": {"encoders": [["joint"], ["bone"]]}},
            "streams', joint, found bone",
        ),
        ({"model": {"encoders": [[]]}}, "'model.encoders.0': "),
    ],
)
def test_what_is_wrong_is_named_in_one_line(values, named):
    with pytest.raises(UserError) as caught:
        check_config(values)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_data_set_changes_only_what_it_names():
    config = check_config({"train": {"epochs": 7, "batch_size": 8}, "datasets": {"demo": {"train": {"epochs": 2}}}})
    assert (config.run("demo").train.epochs, config.run("demo").train.batch_size) == (2, 8)
    assert config.run("nw_ucla").train.epochs == 7


def test_a_variant_changes_the_shortened_schedule_of_its_data_set():
    ablation = {"schedule": {"train": {"epochs": 3}}, "variants": {"no_parts": {"model": {"parts": False}}}}
    config = check_config({"ablation": ablation, "datasets": {"demo": {"train": {"batch_size": 8}}}})
    complete, changed, whole = (config.run("demo", method) for method in ("complete", "no_parts", "danet"))
    assert (complete.train.epochs, changed.train.epochs, whole.train.epochs) == (3, 3, 60)
    assert complete.train.batch_size == changed.train.batch_size == 8
    assert (complete.model.parts, changed.model.parts) == (True, False)


@pytest.mark.parametrize(
    ("made", "path"), [(schema, "workflow/schemas/config.schema.json"), (settings_page, "docs/settings.md")]
)
def test_what_is_made_from_the_settings_is_up_to_date(made, path):
    assert (ROOT / path).read_text() == made(), "run `make docs`"


def test_every_setting_is_explained():
    for kind in (Run, Config):
        for name, field in kind.model_fields.items():
            inner = getattr(field.annotation, "model_fields", None)
            for key, part in (inner or {name: field}).items():
                assert part.description, f"{kind.__name__}.{name}.{key}"
