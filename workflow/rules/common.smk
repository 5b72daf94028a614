# The checked settings, the runs that they ask for, and what the rules have in common.

import sys

from danet.config.settings import COMPLETE, OF_PARSING, check_config
from danet.datasets.registry import FOLDED, FOLDS, NAMES, find_dataset
from danet.datasets.custom import CUSTOM, use_folder
from danet.errors import UserError
from danet.pipeline.fingerprint import fingerprint
from danet.pipeline.runs import planned, protocols_of
from danet.preparation.manifest import listing_hash, raw_folders

try:
    SETTINGS = check_config(config)
    use_folder(f"{SETTINGS.data}/{CUSTOM}")
    RUNS = planned(SETTINGS)
    ABLATED = protocols_of(SETTINGS.ablate, SETTINGS.data)
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
    method="|".join(["danet", COMPLETE, *SETTINGS.ablation.variants]),
    fused="|".join(SETTINGS.ablation.fused) or "(?!)",
    seed=r"\d+",


def code(stage):
    """The hash of every module that a stage's script reaches."""
    return fingerprint(f"{workflow.basedir}/workflow/scripts/{stage}.py")


def run_folders(dataset, protocol):
    """The folders of a protocol's runs, a folder for each fold and seed."""
    return [
        f"results/{dataset}/{fold}/danet/seed{seed}"
        for fold in find_dataset(dataset).folds(protocol)
        for seed in SETTINGS.run(dataset).seeds
    ]


def raw_input(wildcards):
    """The demo's recordings; other raw files are no rule's output."""
    return ["results/demo/raw"] if wildcards.dataset == "demo" else []


def raw_listing(wildcards):
    """What the manifest is made of. The demo's recordings are the output of a rule, and followed as such."""
    if wildcards.dataset == "demo":
        return {"folders": ["results/demo/raw"]}
    dataset = find_dataset(wildcards.dataset)
    folders = raw_folders(dataset, SETTINGS.data)
    return {
        "folders": [str(folder) for folder in folders],
        "hash": listing_hash(dataset, folders),
    }


def run_settings(wildcards):
    """What shapes the weights of a run of a data set, seeds apart."""
    settings = SETTINGS.run(wildcards.dataset, wildcards.method)
    return settings.model_dump(mode="json", include={"split", "clips", "model", "train"})


def costly_settings(wildcards):
    """What changes what a network costs: of the settings, and of a data set."""
    part = {"clips": {"frames", "streams"}, "model": True, "train": {"partners", "accumulate", "bfloat16", "compile"}}
    dataset = find_dataset(wildcards.dataset)
    return {
        "settings": SETTINGS.run(wildcards.dataset).model_dump(mode="json", include=part),
        "layout": dataset.layout.described,
        "actions": len(dataset.actions),
        "two_people": bool(dataset.two_person),
    }


def processes(wildcards):
    """The GPUs that a training asks for."""
    return SETTINGS.run(wildcards.dataset, wildcards.method).train.processes


def fused_runs(wildcards):
    """The folder of each variant whose scores are averaged."""
    return {
        variant: f"results/{wildcards.dataset}/{wildcards.protocol}/{variant}/seed{wildcards.seed}"
        for variant in SETTINGS.ablation.fused[wildcards.fused]
    }


def ablation_folders(dataset, protocol):
    """The folders of an ablation's runs, fused ones among them."""
    return [
        f"results/{dataset}/{fold}/{method}/seed{seed}"
        for fold in find_dataset(dataset).folds(protocol)
        for method in (COMPLETE, *SETTINGS.ablation.variants, *SETTINGS.ablation.fused)
        for seed in SETTINGS.ablation.seeds
    ]


def fold_metrics(wildcards):
    """The metrics of each fold of a protocol."""
    return {
        fold: f"results/{wildcards.dataset}/{fold}/danet/seed{wildcards.seed}/metrics.json"
        for fold in find_dataset(wildcards.dataset).folds(wildcards.folded)
    }
