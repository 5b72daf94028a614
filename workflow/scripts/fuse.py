from pathlib import Path

from danet.evaluation.combine import fuse
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    runs = {variant: Path(folder) for variant, folder in snakemake.params.runs.items()}
    fuse(runs, snakemake.wildcards.fused, Path(snakemake.output.scores), Path(snakemake.output.metrics))
