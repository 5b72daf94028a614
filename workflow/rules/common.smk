# The checked settings, the runs that they ask for, and what the rules have in common.

import sys
from functools import cache
from pathlib import Path

from danet.config.settings import OF_PARSING, check_config
from danet.datasets.custom import CUSTOM
from danet.datasets.registry import FOLDED, FOLDS, NAMES, find_dataset
from danet.errors import UserError
from danet.models.registry import module_of
from danet.pipeline.fingerprint import fingerprint
from danet.pipeline.runs import check_ensembles, own_data, protocols_of, requested_runs, run_folders
from danet.preparation.manifest import listing_hash, raw_folders


def told(text):
    """Says it once, and not again in the process of each job."""
    if workflow.is_main_process:
        print(f"danet: {text}", file=sys.stderr)


try:
    SETTINGS = check_config(config)
    RUNS = requested_runs(SETTINGS, tell=told)
    ABLATED = protocols_of(SETTINGS.ablate, SETTINGS)
    for runs, methods in ((RUNS, SETTINGS.methods), (ABLATED, SETTINGS.ablation.methods)):
        for dataset, _ in runs:
            for method in methods:
                SETTINGS.run(dataset, method)
        check_ensembles(runs, methods, SETTINGS)
except UserError as error:
    print(f"danet: {error}", file=sys.stderr)
    sys.exit(2)

RUN_FILES = [
    "metrics.json",
    "run.json",
    "history.jsonl",
    "scores.parquet",
    "attention.json",
    "weights.safetensors",
]


wildcard_constraints:
    dataset="|".join(NAMES),
    protocol="|".join(FOLDS),
    folded="|".join(FOLDED),
    method="|".join(SETTINGS.trained),
    ensemble="|".join(SETTINGS.ensembles) or "(?!)",
    seed=r"\d+",


def data_set(name):
    """A data set by its name, own data among them."""
    return find_dataset(name, own_data(SETTINGS))


def own_folder(wildcards):
    """The folder of own data, where the data set is that; the others are found by their name."""
    return str(own_data(SETTINGS)) if wildcards.dataset == CUSTOM else None


def run_of(wildcards):
    """The settings of a run."""
    return SETTINGS.run(wildcards.dataset, wildcards.method)


@cache
def code(stage, *modules):
    """The hash of every module that a stage's script reaches, and of those that these modules reach."""
    return fingerprint(f"{workflow.basedir}/workflow/scripts/{stage}.py", *modules)


def code_with_network(stage):
    """The same, with the modules of the network that a method trains."""
    return lambda wildcards: code(stage, module_of(run_of(wildcards).model.name))


def raw_input(wildcards):
    """The demo's recordings; other raw files are no rule's output."""
    return ["results/demo/raw"] if wildcards.dataset == "demo" else []


def raw_listing(wildcards):
    """What the manifest is made of. The demo's recordings are the output of a rule, and followed as such."""
    if wildcards.dataset == "demo":
        return {"folders": ["results/demo/raw"]}
    dataset = data_set(wildcards.dataset)
    folders = raw_folders(dataset, SETTINGS.data)
    return {
        "folders": [str(folder) for folder in folders],
        "hash": listing_hash(dataset, folders, Path("results", wildcards.dataset)),
    }


def run_settings(wildcards):
    """What shapes the weights of a run, seeds apart."""
    return run_of(wildcards).model_dump(mode="json", include={"split", "clips", "model", "train"})


def costly_settings(wildcards):
    """What changes what a network costs: of the settings, and of a data set."""
    part = {
        "clips": {"frames", "streams"},
        "model": True,
        "train": {"paired_views", "grad_accum_steps", "optimizer", "bfloat16", "cuda_graphs"},
    }
    dataset = data_set(wildcards.dataset)
    return {
        "settings": run_of(wildcards).model_dump(mode="json", include=part),
        "layout": dataset.layout.described,
        "actions": len(dataset.actions),
        "two_people": bool(dataset.two_person),
    }


def processes(wildcards):
    """The GPUs that a training asks for."""
    return run_of(wildcards).train.processes


def corrupted_samples(wildcards):
    """How many test recordings are turned and corrupted."""
    asked = run_of(wildcards).evaluate
    return asked.corrupted_samples if asked.corruptions else 0


def ensemble_runs(wildcards):
    """The folder of each method whose scores are averaged."""
    return {
        method: f"results/{wildcards.dataset}/{wildcards.protocol}/{method}/seed{wildcards.seed}"
        for method in SETTINGS.ensembles[wildcards.ensemble].members
    }


def ensemble_weights(wildcards):
    """What chooses the weights of an ensemble's members."""
    return SETTINGS.ensembles[wildcards.ensemble].weights


def ensemble_inputs(wildcards):
    """What an ensemble reads of each member: the validation scores only where they choose the weights."""
    files = ["metrics.json", "scores.parquet"]
    if ensemble_weights(wildcards) == "validation":
        files.append("validation.parquet")
    return [f"{folder}/{file}" for folder in ensemble_runs(wildcards).values() for file in files]


def fold_metrics(wildcards):
    """The metrics of each fold of a protocol."""
    return {
        fold: f"results/{wildcards.dataset}/{fold}/{wildcards.method}/seed{wildcards.seed}/metrics.json"
        for fold in data_set(wildcards.dataset).folds(wildcards.folded)
    }
