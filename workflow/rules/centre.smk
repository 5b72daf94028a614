# Actors in, sequences centred on their first frame out.


rule centre:
    input:
        actors="results/{dataset}/actors.h5",
    output:
        centred="results/{dataset}/centred.h5",
    log:
        "logs/{dataset}/centre.log",
    benchmark:
        "logs/{dataset}/centre.tsv"
    params:
        code=code("centre"),
    script:
        "../scripts/centre.py"
