"""Measures the first method: parameters, operations, clips a second, latency, memory, share of the machine's peak.

    python benchmarks/model.py OUT [--seconds 20] [--threads 2]

Writes OUT/model.csv, a row for each setting, as `danet.cost.measure` measures it, each in a process of its own. Inputs
are random numbers, in which every clip of NTU's kind shows two people.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from danet.config.settings import read_config
from danet.cost.measure import measure
from danet.datasets.registry import find_dataset

ROOT = Path(__file__).parents[1]
SETTINGS = {"NW-UCLA": "nw_ucla", "NTU RGB+D 60": "ntu60"}


def main() -> None:
    """Measures each setting in a process of its own; writes the table and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=20, help="for each rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        config = read_config(ROOT / "config/config.yaml")
        method = next(iter(config.methods))
        run = config.run(options.only, method)
        print(measure(run, find_dataset(options.only), method, options.threads, options.seconds).model_dump_json())
        return
    rows = []
    for setting, dataset in SETTINGS.items():
        command = [sys.executable, __file__, *sys.argv[1:], "--only", dataset]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        cost = json.loads(done.stdout)
        rows.append({"setting": setting, **cost, "share_of_peak": cost["training_gflops"] / cost["peak_gflops"]})
    options.out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "model.csv", index=False, float_format="%.6g")
    print(table.set_index("setting").T.to_string(float_format=lambda value: f"{value:,.4g}"))


if __name__ == "__main__":
    main()
