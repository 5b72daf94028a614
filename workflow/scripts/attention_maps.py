from pathlib import Path

from danet.datasets.registry import find_dataset
from danet.evaluation.attention import attention_maps
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    attention_maps(
        weights=Path(snakemake.input.weights),
        centred=Path(snakemake.input.centred),
        split=Path(snakemake.input.split),
        dataset=find_dataset(snakemake.wildcards.dataset, snakemake.params.own),
        maps=Path(snakemake.output.maps),
        shown=Path(snakemake.output.shown),
        asked=tuple(snakemake.params.asked),
        threads=snakemake.threads,
    )
