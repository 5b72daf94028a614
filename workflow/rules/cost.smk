# A data set's settings in, what its network costs on this machine out: operations, speed and memory. As many threads as a
# training has, so that on a machine of no more cores nothing else runs beside it.


rule cost:
    output:
        "results/{dataset}/cost.json",
    log:
        "logs/{dataset}/cost.log",
    benchmark:
        "logs/{dataset}/cost.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        costly=costly_settings,
        code=code("cost"),
    script:
        "../scripts/cost.py"
