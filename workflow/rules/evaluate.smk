# The weights of a run in, its scores on the test part and its accuracy out. Then runs in, one accuracy
# out: the folds of a protocol, or networks whose scores are averaged.


rule evaluate:
    input:
        weights="results/{dataset}/{protocol}/{method}/seed{seed}/weights.safetensors",
        run="results/{dataset}/{protocol}/{method}/seed{seed}/run.json",
        epochs="results/{dataset}/{protocol}/{method}/seed{seed}/epochs.safetensors",
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        scores="results/{dataset}/{protocol}/{method}/seed{seed}/scores.parquet",
        metrics="results/{dataset}/{protocol}/{method}/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{protocol}/evaluate_{method}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/evaluate_{method}_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        stress=lambda wildcards: SETTINGS.run(wildcards.dataset, wildcards.method).evaluate.stress,
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


rule fuse:
    input:
        lambda wildcards: [
            f"{folder}/{file}"
            for folder in fused_runs(wildcards).values()
            for file in ("metrics.json", "scores.parquet")
        ],
    output:
        scores="results/{dataset}/{protocol}/{fused}/seed{seed}/scores.parquet",
        metrics="results/{dataset}/{protocol}/{fused}/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{protocol}/fuse_{fused}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/fuse_{fused}_seed{seed}.tsv"
    localrule: True
    params:
        runs=lambda wildcards: fused_runs(wildcards),
        code=code("fuse"),
    script:
        "../scripts/fuse.py"
