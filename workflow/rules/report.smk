# All runs in, one page with its tables and figures out.

REPORTED = [folder for dataset, protocol in RUNS for folder in run_folders(dataset, protocol)]
COMBINED = [
    f"results/{dataset}/{protocol}/danet/seed{seed}"
    for dataset, protocol in RUNS
    if protocol in FOLDED
    for seed in SETTINGS.run(dataset).seeds
]
ABLATIONS = [folder for dataset, protocol in ABLATED for folder in ablation_folders(dataset, protocol)]
PREPARED = [f"results/{dataset}" for dataset in dict.fromkeys(dataset for dataset, _ in RUNS)]


rule report:
    input:
        runs=[f"{folder}/{file}" for folder in REPORTED for file in RUN_FILES],
        combined=[f"{folder}/metrics.json" for folder in COMBINED],
        ablations=[f"{folder}/metrics.json" for folder in ABLATIONS],
        prepared=[f"{folder}/{table}.parquet" for folder in PREPARED for table in ("manifest", "set_aside", "audit")],
        costs=[f"{folder}/cost.json" for folder in PREPARED],
        published="config/published.csv",
    output:
        page=report("results/report/index.html", category="Page"),
        tables=report(directory("results/report/tables"), patterns=["{table}.csv"], category="Tables"),
        figures=report(directory("results/report/figures"), patterns=["{figure}.svg"], category="Figures"),
    log:
        "logs/report.log",
    benchmark:
        "logs/report.tsv"
    params:
        runs=REPORTED,
        combined=COMBINED,
        ablations=ABLATIONS,
        prepared=PREPARED,
        code=code("report"),
    script:
        "../scripts/report.py"
