# Centred sequences and a split in, the weights of one run out. State to resume from lies in `.resume/` beside them.


rule train:
    input:
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        weights="results/{dataset}/{protocol}/danet/seed{seed}/weights.safetensors",
        run="results/{dataset}/{protocol}/danet/seed{seed}/run.json",
        history="results/{dataset}/{protocol}/danet/seed{seed}/history.jsonl",
    log:
        "logs/{dataset}/{protocol}/train_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/train_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=1,
    params:
        settings=run_settings,
        code=code("train"),
    script:
        "../scripts/train.py"
