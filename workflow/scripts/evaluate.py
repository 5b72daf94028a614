from pathlib import Path

from danet.datasets.registry import find_dataset
from danet.evaluation.evaluate import evaluate
from danet.pipeline.stage_log import stage

with stage(snakemake.log[0]):
    evaluate(
        weights=Path(snakemake.input.weights),
        run=Path(snakemake.input.run),
        centred=Path(snakemake.input.centred),
        split=Path(snakemake.input.split),
        dataset=find_dataset(snakemake.wildcards.dataset, snakemake.params.own),
        scores=Path(snakemake.output.scores),
        metrics=Path(snakemake.output.metrics),
        validation=Path(snakemake.output.validation),
        epochs=Path(snakemake.input.epochs),
        corrupted_samples=snakemake.params.corrupted_samples,
        threads=snakemake.threads,
    )
