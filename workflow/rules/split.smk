# The manifest's names in, their part in a protocol out.


rule split:
    input:
        manifest="results/{dataset}/manifest.parquet",
    output:
        split="results/{dataset}/{protocol}/split.parquet",
    log:
        "logs/{dataset}/{protocol}/split.log",
    benchmark:
        "logs/{dataset}/{protocol}/split.tsv"
    localrule: True
    params:
        settings=lambda wildcards: SETTINGS.run(wildcards.dataset).split.model_dump(),
        own=own_folder,
        code=code("split"),
    script:
        "../scripts/split.py"
