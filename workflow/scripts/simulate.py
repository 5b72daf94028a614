from pathlib import Path

from danet.config.settings import Simulate
from danet.pipeline.stage_log import stage
from danet.simulate.simulate import simulate

with stage(snakemake.log[0]):
    simulate(Path(snakemake.output[0]), Simulate(**snakemake.params.settings))
