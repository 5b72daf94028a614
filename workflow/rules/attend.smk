# The weights of a run in, what it attends to out: a map per test sample, and the clips that the report draws.


rule attend:
    input:
        weights="results/{dataset}/{protocol}/{method}/seed{seed}/weights.safetensors",
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        maps="results/{dataset}/{protocol}/{method}/seed{seed}/attention.parquet",
        shown="results/{dataset}/{protocol}/{method}/seed{seed}/attention.json",
    log:
        "logs/{dataset}/{protocol}/attend_{method}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/attend_{method}_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        wanted=lambda wildcards: SETTINGS.run(wildcards.dataset, wildcards.method).attention,
        code=code("attend"),
    script:
        "../scripts/attend.py"
