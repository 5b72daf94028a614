# All runs in, one page with its tables and figures out.

METHODS = list(SETTINGS.methods)
VARIANTS = list(SETTINGS.ablation.methods)
FOLDED_RUNS = [(dataset, protocol) for dataset, protocol in RUNS if protocol in FOLDED]
REPORTED = run_folders(RUNS, METHODS, SETTINGS)
AVERAGED = run_folders(FOLDED_RUNS, METHODS, SETTINGS, by_fold=False)
ENSEMBLES = [
    *run_folders(RUNS, SETTINGS.ensembles_of(METHODS), SETTINGS),
    *run_folders(FOLDED_RUNS, SETTINGS.ensembles_of(METHODS), SETTINGS, by_fold=False),
]
ABLATIONS = run_folders(ABLATED, [*VARIANTS, *SETTINGS.ensembles_of(VARIANTS)], SETTINGS)
REPORTED_SETS = list(dict.fromkeys(dataset for dataset, _ in RUNS))
PREPARED = [f"results/{dataset}" for dataset in REPORTED_SETS]


rule report:
    input:
        runs=[f"{folder}/{file}" for folder in REPORTED for file in RUN_FILES],
        splits=list(dict.fromkeys(f"{Path(folder).parents[1]}/split.parquet" for folder in REPORTED)),
        averaged=[f"{folder}/metrics.json" for folder in AVERAGED],
        ensembles=[f"{folder}/metrics.json" for folder in ENSEMBLES],
        ablations=[f"{folder}/metrics.json" for folder in ABLATIONS],
        prepared=[f"{folder}/{table}.parquet" for folder in PREPARED for table in ("manifest", "set_aside", "audit")],
        costs=[f"{folder}/{method}/cost.json" for folder in PREPARED for method in METHODS],
        published=PUBLISHED,
        repeated=REPEATED,
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
        averaged=AVERAGED,
        ensembles=ENSEMBLES,
        ablations=ABLATIONS,
        prepared=PREPARED,
        own=str(own_data(SETTINGS)) if CUSTOM in REPORTED_SETS else None,
        code=code("report"),
    script:
        "../scripts/report.py"
