# Centred sequences and a split in, the weights of one run out. State to resume from lies in `.resume/` beside them.


rule train:
    input:
        centred="results/{dataset}/centred.h5",
        split="results/{dataset}/{protocol}/split.parquet",
    output:
        weights="results/{dataset}/{protocol}/{method}/seed{seed}/weights.safetensors",
        epochs="results/{dataset}/{protocol}/{method}/seed{seed}/epochs.safetensors",
        run="results/{dataset}/{protocol}/{method}/seed{seed}/run.json",
        history="results/{dataset}/{protocol}/{method}/seed{seed}/history.jsonl",
    log:
        "logs/{dataset}/{protocol}/train_{method}_seed{seed}.log",
    benchmark:
        "logs/{dataset}/{protocol}/train_{method}_seed{seed}.tsv"
    threads: 8
    resources:
        gpu=processes,
    params:
        settings=run_settings,
        own=own_folder,
        code=code_with_network("train"),
    script:
        "../scripts/train.py"
