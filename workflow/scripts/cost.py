from pathlib import Path

from danet.config import Run
from danet.cost import measure_stage
from danet.log import stage

with stage(snakemake.log[0]):
    measure_stage(
        dataset=snakemake.wildcards.dataset,
        run=Run(**snakemake.params.costly["settings"]),
        threads=snakemake.threads,
        out=Path(snakemake.output[0]),
    )
