from pathlib import Path

from danet.pipeline.stage_log import stage
from danet.report.page import render

with stage(snakemake.log[0]):
    render(
        [Path(folder) for folder in snakemake.params.runs],
        [Path(folder) for folder in snakemake.params.prepared],
        Path(snakemake.input.published),
        Path(snakemake.output.page).parent,
        [Path(folder) for folder in snakemake.params.ablations],
        [Path(file) for file in snakemake.input.costs],
        [Path(folder) for folder in snakemake.params.combined],
    )
