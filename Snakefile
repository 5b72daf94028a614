# Raw Kinect skeletons in, results/report/index.html out.
#
#     snakemake all --cores 8 --resources gpu=1
#
# The target comes first: --resources takes every word that follows it.

import os

# In the working directory, or beside this file where there is none.
CONFIG, PUBLISHED, REPEATED = (
    path if os.path.exists(path) else f"{workflow.basedir}/{path}"
    for path in ("config/config.yaml", "config/published.csv", "config/repeated.csv")
)


configfile: CONFIG


include: "workflow/rules/common.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/manifest.smk"
include: "workflow/rules/parse.smk"
include: "workflow/rules/denoise.smk"
include: "workflow/rules/centre.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/attention_maps.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/report/index.html",
    localrule: True
