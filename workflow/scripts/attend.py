from pathlib import Path

from danet.evaluation.attention import attend
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    attend(
        weights=Path(snakemake.input.weights),
        centred=Path(snakemake.input.centred),
        split=Path(snakemake.input.split),
        maps=Path(snakemake.output.maps),
        shown=Path(snakemake.output.shown),
        wanted=tuple(snakemake.params.wanted),
        threads=snakemake.threads,
    )
