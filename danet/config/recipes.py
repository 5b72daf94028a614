"""Reads how the networks of others are trained: on the settings that all share, or as their authors trained them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from danet.config.base import overlaid
from danet.io.yaml_text import read_yaml

Recipe = Literal["shared", "own"]

RECIPES: dict[str, dict[str, dict[str, Any]]] = read_yaml(Path(__file__).with_suffix(".yaml"), "recipes by network")


def recipe_of(recipe: str, network: str, dataset: str) -> Mapping[str, Any]:
    """What a recipe changes in the settings for a network on a data set; nothing for one that has no entry."""
    changes = dict(RECIPES[recipe].get(network, {}))
    by_dataset = changes.pop("datasets", {})
    return overlaid(changes, by_dataset.get(dataset, {}))
