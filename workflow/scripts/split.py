import logging
from pathlib import Path

from danet.config.settings import Split
from danet.datasets.registry import find_dataset
from danet.errors import tell
from danet.io.files import written_whole
from danet.io.tables import read_parquet
from danet.pipeline.stage_log import stage
from danet.preparation.coverage import actions_of, coverage
from danet.preparation.split import counts, split

with stage(snakemake.log[0]):
    dataset = find_dataset(snakemake.wildcards.dataset, snakemake.params.own)
    manifest = read_parquet(Path(snakemake.input.manifest), ("name", "aside"))
    names = manifest.loc[manifest["aside"] == "", "name"]
    table = split(dataset, snakemake.wildcards.protocol, names, Split(**snakemake.params.settings))
    facts = coverage(dataset, actions_of(dataset, names), table)
    logging.info("%s", counts(table))
    logging.info("%s", facts)
    if facts.doubtful:
        tell(logging.getLogger("split"), f"{dataset.name}/{snakemake.wildcards.protocol}: {facts}")
    with written_whole(snakemake.output.split) as partial:
        table.to_parquet(partial)
