# Body sightings in, one or two actors out, and a row a recording that says which bodies were dropped.


rule denoise:
    input:
        bodies="results/{dataset}/bodies.h5",
    output:
        actors="results/{dataset}/actors.h5",
        audit="results/{dataset}/audit.parquet",
    log:
        "logs/{dataset}/denoise.log",
    benchmark:
        "logs/{dataset}/denoise.tsv"
    params:
        settings=SETTINGS.prepare.model_dump(exclude=OF_PARSING),
        code=code("denoise"),
    script:
        "../scripts/denoise.py"
