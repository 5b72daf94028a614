# Settings in, the demo's raw recordings out.


rule simulate:
    output:
        directory("results/demo/raw"),
    log:
        "logs/demo/simulate.log",
    benchmark:
        "logs/demo/simulate.tsv"
    params:
        settings=SETTINGS.simulate.model_dump(),
        code=code("simulate"),
    script:
        "../scripts/simulate.py"
