from pathlib import Path

from danet.pipeline.stage_log import stage
from danet.preparation.centre import centre_all

with stage(snakemake.log[0]):
    centre_all(Path(snakemake.input.actors), Path(snakemake.output.centred))
