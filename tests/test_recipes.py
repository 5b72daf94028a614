"""How networks of others are trained: what a recipe lays where among the settings."""

import pytest

from danet.config.networks import DEFAULT, NAMES
from danet.config.recipes import RECIPES, recipe_of
from danet.config.settings import check_config, read_config
from danet.config.training import TrainSettings
from danet.errors import UserError
from danet.pipeline.fingerprint import PACKAGE

CONFIG = PACKAGE.parent / "config" / "config.yaml"


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_a_recipe_is_of_a_network_and_any_data_set_takes_it(recipe):
    assert RECIPES[recipe].keys() <= set(NAMES)
    assert RECIPES[recipe].keys() == RECIPES["own"].keys(), "either for each"
    config = read_config(CONFIG).model_copy(update={"methods": {name: {} for name in NAMES}, "recipe": recipe})
    for dataset in ("ntu60", "ntu120", "uestc", "nw_ucla", "utd_mhad", "demo", "custom"):
        for name in RECIPES[recipe]:
            run = config.run(dataset, name)
            assert run.model.name == name
            assert run.clips.streams == ("joint",), "whatever the data set's streams are"


def test_an_own_recipe_says_all_that_shapes_a_training():
    """So that nothing of a data set's settings for another network is left in it."""
    machine = {"refit", "keep_epochs", "paired_views", "grad_accum_steps", "processes", "bfloat16", "cuda_graphs"}
    for name in RECIPES["own"]:
        said = recipe_of("own", name, "ntu60")["train"].keys()
        assert said == TrainSettings.model_fields.keys() - machine, name


def test_what_authors_changed_for_a_data_set_is_laid_over_their_recipe():
    plain, changed = (recipe_of("own", "ctr_gcn", dataset) for dataset in ("ntu60", "nw_ucla"))
    assert (plain["clips"]["frames"], changed["clips"]["frames"]) == (64, 52)
    assert changed["clips"]["unit_box"]
    assert changed["train"]["optimizer"] == plain["train"]["optimizer"] == "sgd"
    assert recipe_of("own", DEFAULT, "nw_ucla") == {}


def test_a_method_named_as_a_network_trains_it_and_names_alone_will_do():
    config = check_config({"methods": ["danet", "sgn", "2s_agcn"]})
    assert [config.run("nw_ucla", name).model.name for name in config.methods] == ["danet", "sgn", "2s_agcn"]
    other = check_config({"methods": {"sgn": {"model": {"name": "ctr_gcn"}}}})
    assert other.run("nw_ucla", "sgn").model.name == "ctr_gcn"
    general = check_config({"model": {"name": "sgn"}, "methods": ["danet", "ctr_gcn"]})
    names = [general.run("", name).model.name for name in general.methods]
    assert names == ["sgn", "ctr_gcn"], "`danet` is what the first method is called, whatever it trains"


def test_a_recipe_lies_over_a_data_set_s_settings_and_under_a_method_s():
    config = check_config(
        {
            "datasets": {"nw_ucla": {"train": {"epochs": 7, "batch_size": 5}, "methods": {"sgn": {"seeds": [3]}}}},
            "methods": {"sgn": {}, "theirs": {"recipe": "own", "model": {"name": "sgn"}, "train": {"batch_size": 9}}},
        }
    )
    shared, own = config.run("nw_ucla", "sgn"), config.run("nw_ucla", "theirs")
    assert (shared.recipe, shared.train.epochs, shared.train.batch_size, shared.seeds) == ("shared", 7, 5, (3,))
    assert (own.recipe, own.train.epochs, own.train.batch_size, own.clips.frames) == ("own", 120, 9, 20)


def test_a_recipe_that_there_is_not_is_refused():
    with pytest.raises(UserError, match=r"methods\.sgn.*'recipe': expected 'shared' or 'own', got 'mine'"):
        check_config({"methods": {"sgn": {"recipe": "mine"}}})
