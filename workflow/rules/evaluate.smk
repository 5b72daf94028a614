# The weights of a run in, its scores on test and validation part and its accuracy out. Then runs in, one accuracy out:
# the folds of a protocol, or an ensemble of methods whose scores are averaged.


rule evaluate:
    input:
        weights="results/{dataset}/{protocol}/{method}/seed{seed}/weights.safetensors",
        run="results/{dataset}/{protocol}/{method}/seed{seed}/run.json",
        epochs="results/{dataset}/{protocol}/{method}/seed{seed}/epochs.safetensors",
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        scores="results/{dataset}/{protocol}/{method}/seed{seed}/scores.parquet",
        validation="results/{dataset}/{protocol}/{method}/seed{seed}/validation.parquet",
        metrics="results/{dataset}/{protocol}/{method}/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{protocol}/evaluate_{method}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/evaluate_{method}_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        corrupted_samples=corrupted_samples,
        own=own_folder,
        code=code_with_network("evaluate"),
    script:
        "../scripts/evaluate.py"


rule average_folds:
    input:
        lambda wildcards: list(fold_metrics(wildcards).values()),
    output:
        scores="results/{dataset}/{folded}/{method}/seed{seed}/scores.parquet",
        metrics="results/{dataset}/{folded}/{method}/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{folded}/average_folds_{method}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{folded}/average_folds_{method}_seed{seed}.tsv"
    wildcard_constraints:
        method="|".join([*SETTINGS.trained, *SETTINGS.ensembles]),
    localrule: True
    params:
        folds=lambda wildcards: fold_metrics(wildcards),
        own=own_folder,
        code=code("average_folds"),
    script:
        "../scripts/average_folds.py"


rule ensemble:
    input:
        ensemble_inputs,
    output:
        scores="results/{dataset}/{protocol}/{ensemble}/seed{seed}/scores.parquet",
        metrics="results/{dataset}/{protocol}/{ensemble}/seed{seed}/metrics.json",
    log:
        "logs/{dataset}/{protocol}/ensemble_{ensemble}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/ensemble_{ensemble}_seed{seed}.tsv"
    localrule: True
    params:
        runs=ensemble_runs,
        weights=ensemble_weights,
        code=code("ensemble"),
    script:
        "../scripts/ensemble.py"
