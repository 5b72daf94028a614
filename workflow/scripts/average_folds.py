from pathlib import Path

from danet.datasets.registry import find_dataset
from danet.evaluation.combine import average_folds
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    folds = {fold: Path(metrics).parent for fold, metrics in snakemake.params.folds.items()}
    dataset = find_dataset(snakemake.wildcards.dataset, snakemake.params.own)
    average_folds(folds, dataset, Path(snakemake.output.scores), Path(snakemake.output.metrics))
