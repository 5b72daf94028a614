from pathlib import Path

from danet.evaluation.combine import ensemble
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    ensemble(
        {method: Path(folder) for method, folder in snakemake.params.runs.items()},
        snakemake.wildcards.ensemble,
        Path(snakemake.output.scores),
        Path(snakemake.output.metrics),
        snakemake.params.weights,
    )
