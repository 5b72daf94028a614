# The weights of a run in, its scores on the test part and its accuracy out; the folds of a protocol in, their mean out.


rule evaluate:
    input:
        weights="results/{dataset}/{protocol}/danet/seed{seed}/weights.safetensors",
        run="results/{dataset}/{protocol}/danet/seed{seed}/run.json",
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        scores="results/{dataset}/{protocol}/danet/seed{seed}/scores.parquet",
        metrics="results/{dataset}/{protocol}/danet/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{protocol}/evaluate_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/evaluate_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        code=code("evaluate"),
    script:
        "../scripts/evaluate.py"


rule combine:
    input:
        lambda wildcards: list(fold_metrics(wildcards).values()),
    output:
        scores="results/{dataset}/{folded}/danet/seed{seed}/scores.parquet",
        metrics="results/{dataset}/{folded}/danet/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{folded}/combine_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{folded}/combine_seed{seed}.tsv"
    localrule: True
    params:
        folds=lambda wildcards: fold_metrics(wildcards),
        code=code("combine"),
    script:
        "../scripts/combine.py"
