from pathlib import Path

from danet.config.settings import Prepare
from danet.pipeline.stage_log import stage
from danet.preparation.denoise import denoise_all

with stage(snakemake.log[0]):
    denoise_all(
        Path(snakemake.input.bodies),
        Path(snakemake.output.actors),
        Path(snakemake.output.audit),
        Prepare(**snakemake.params.settings),
    )
