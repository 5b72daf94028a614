# Raw folders in, one table of their files out. A raw file that is added, removed or edited changes the listing's hash.


rule manifest:
    input:
        raw_input,
    output:
        "results/{dataset}/manifest.parquet",
    log:
        "logs/{dataset}/manifest.log",
    benchmark:
        "logs/{dataset}/manifest.tsv"
    localrule: True
    params:
        listing=raw_listing,
        own=own_folder,
        code=code("manifest"),
    script:
        "../scripts/manifest.py"
