from pathlib import Path

from danet.datasets.registry import find_dataset
from danet.io.files import written_whole
from danet.pipeline.stage_log import stage
from danet.preparation.manifest import make_manifest

with stage(snakemake.log[0]):
    folders = [Path(folder) for folder in snakemake.params.listing["folders"]]
    out = Path(snakemake.output[0])
    manifest = make_manifest(find_dataset(snakemake.wildcards.dataset, snakemake.params.own), folders, out.parent)
    with written_whole(out) as partial:
        manifest.to_parquet(partial)
