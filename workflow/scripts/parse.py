from pathlib import Path

from danet.config.settings import Prepare
from danet.datasets.registry import find_dataset
from danet.io.tables import read_parquet
from danet.pipeline.stage_log import stage
from danet.preparation.parse import parse

if __name__ == "__main__":  # the processes that read files import this script
    with stage(snakemake.log[0]):
        parse(
            read_parquet(Path(snakemake.input.manifest), ("name", "file", "revision", "aside")),
            find_dataset(snakemake.wildcards.dataset, snakemake.params.own),
            Path(snakemake.output.bodies),
            Path(snakemake.output.set_aside),
            Path(snakemake.output.contents),
            settings=Prepare(**snakemake.params.settings),
            jobs=snakemake.threads,
        )
