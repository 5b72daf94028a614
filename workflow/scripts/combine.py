from pathlib import Path

from danet.evaluation.combine import combine
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    folds = {fold: Path(metrics).parent for fold, metrics in snakemake.params.folds.items()}
    combine(folds, Path(snakemake.output.scores), Path(snakemake.output.metrics))
