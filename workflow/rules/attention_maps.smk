# The weights of a run in, what it attends to out: a map per test sample, and the clips that the report draws.


rule attention_maps:
    input:
        weights="results/{dataset}/{protocol}/{method}/seed{seed}/weights.safetensors",
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        maps="results/{dataset}/{protocol}/{method}/seed{seed}/attention.parquet",
        shown="results/{dataset}/{protocol}/{method}/seed{seed}/attention.json",
    log:
        "logs/{dataset}/{protocol}/attention_maps_{method}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/attention_maps_{method}_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        asked=lambda wildcards: run_of(wildcards).attention,
        own=own_folder,
        code=code_with_network("attention_maps"),
    script:
        "../scripts/attention_maps.py"
