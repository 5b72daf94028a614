# The manifest in, every body sighting out, the recordings that had to be set aside, and a hash of each file.


rule parse:
    input:
        manifest="results/{dataset}/manifest.parquet",
    output:
        bodies="results/{dataset}/bodies.h5",
        set_aside="results/{dataset}/set_aside.parquet",
        contents="results/{dataset}/contents.parquet",
    log:
        "logs/{dataset}/parse.log",
    benchmark:
        "logs/{dataset}/parse.tsv"
    threads: 8
    params:
        settings=SETTINGS.prepare.model_dump(include=OF_PARSING),
        own=own_folder,
        code=code("parse"),
    script:
        "../scripts/parse.py"
