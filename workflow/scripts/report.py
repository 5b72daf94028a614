from pathlib import Path

from danet.datasets.registry import DATASETS, known_datasets
from danet.pipeline.stage_log import stage
from danet.report.page import render


def folders(listed):
    return [Path(folder) for folder in listed]


with stage(snakemake.log[0]):
    own = snakemake.params.own
    render(
        folders(snakemake.params.runs),
        folders(snakemake.params.prepared),
        Path(snakemake.input.published),
        Path(snakemake.output.page).parent,
        averaged_folders=folders(snakemake.params.averaged),
        ensemble_folders=folders(snakemake.params.ensembles),
        ablation_folders=folders(snakemake.params.ablations),
        costs=folders(snakemake.input.costs),
        repeated=Path(snakemake.input.repeated),
        datasets=known_datasets(own) if own else DATASETS,
    )
