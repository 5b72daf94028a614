from pathlib import Path

from danet.config.settings import Run
from danet.pipeline.stage_log import stage
from danet.training.train import train

if __name__ == "__main__":  # processes that train together import this script
    with stage(snakemake.log[0]):
        seed = int(snakemake.wildcards.seed)
        train(
            centred=Path(snakemake.input.centred),
            split=Path(snakemake.input.split),
            run=Run(seeds=(seed,), **snakemake.params.settings),
            dataset=snakemake.wildcards.dataset,
            protocol=snakemake.wildcards.protocol,
            seed=seed,
            method=snakemake.wildcards.method,
            own_data=snakemake.params.own,
            code=snakemake.params.code,
            threads=snakemake.threads,
            folder=Path(snakemake.output.run).parent,
        )
