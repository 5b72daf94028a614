import logging

import pandas as pd

from danet.config.settings import Split
from danet.datasets.registry import find_dataset
from danet.io.files import written_whole
from danet.pipeline.stage_log import stage
from danet.preparation.split import counts, split

with stage(snakemake.log[0]):
    dataset = find_dataset(snakemake.wildcards.dataset, snakemake.params.own)
    names = pd.read_parquet(snakemake.input.manifest, filters=[("aside", "==", "")])["name"]
    table = split(dataset, snakemake.wildcards.protocol, names, Split(**snakemake.params.settings))
    logging.info("%s", counts(table))
    with written_whole(snakemake.output.split) as partial:
        table.to_parquet(partial)
