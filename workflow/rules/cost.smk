# A method's settings for a data set in, what its network costs on this machine out: operations, speed and memory. As many
# threads as a training has, so that on a machine of no more cores nothing else runs beside it.


rule cost:
    output:
        "results/{dataset}/{method}/cost.json",
    log:
        "logs/{dataset}/cost_{method}.log",
    benchmark:
        "logs/{dataset}/cost_{method}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        costly=costly_settings,
        own=own_folder,
        code=code_with_network("cost"),
    script:
        "../scripts/cost.py"
