from pathlib import Path

from danet.config.settings import Run
from danet.cost.measure import measure_stage
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    measure_stage(
        dataset=snakemake.wildcards.dataset,
        run=Run(**snakemake.params.costly["settings"]),
        threads=snakemake.threads,
        out=Path(snakemake.output[0]),
    )
