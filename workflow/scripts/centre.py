from pathlib import Path

from danet.log import stage
from danet.prepare.centre import centre_all

with stage(snakemake.log[0]):
    centre_all(Path(snakemake.input.actors), Path(snakemake.output.centred))
