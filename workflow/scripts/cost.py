from pathlib import Path

from danet.config.settings import Run
from danet.cost.measure import measure_stage
from danet.datasets.registry import find_dataset
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    measure_stage(
        dataset=find_dataset(snakemake.wildcards.dataset, snakemake.params.own),
        method=snakemake.wildcards.method,
        run=Run(**snakemake.params.costly["settings"]),
        threads=snakemake.threads,
        out=Path(snakemake.output[0]),
    )
