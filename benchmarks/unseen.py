"""Counts which recordings of a run's test part keep their label when the sensor does not find some of their joints.

    python benchmarks/unseen.py OUT RUN

RUN is a folder of the demo, as results/demo/cross_view/danet/seed0, beside whose data set the raw files lie. Takes the
test recordings of one person. Writes OUT/unseen.csv.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from danet.datasets.demo import DEMO
from danet.inference.predictor import Predictor
from danet.inference.recordings import prepared
from danet.preparation.parse import read_recording
from danet.preparation.unseen import zero_what_is_not_finite
from danet.skeleton.layout import KINECT_V2

MARKERS = {"(0, 0, 0)": 0, "(-1, -1, -1)": -1, "NaN": np.nan}
NEVER = {
    "both feet": ("foot",),
    "both hands": ("hand", "thumb"),
    "the head": ("head",),
    "the mid spine": ("mid spine",),
}
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # joints (R, V, 3) to the mask (R, V) of those lost


def cases() -> dict[str, tuple[Change, float]]:
    """What is not found, and what stands there instead."""
    found: dict[str, tuple[Change, float]] = {"as they are": (lambda joints, _: np.zeros(joints.shape[:2], bool), 0)}
    for percent in (2, 5, 20, 50):
        for name, marker in MARKERS.items():
            lost = lambda joints, rng, share=percent / 100: rng.random(joints.shape[:2]) < share  # noqa: E731
            found[f"{percent} % of the joints at {name}"] = lost, marker
    for name, words in NEVER.items():
        never = np.array([any(word in joint for word in words) for joint in KINECT_V2.joints])
        found[f"{name} never found"] = (lambda joints, _, never=never: np.broadcast_to(never, joints.shape[:2])), 0
    return found


def main() -> None:
    """Counts every case, and prints and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    predictor = Predictor(options.run / "weights.safetensors")
    protocol, dataset = options.run.parents[1], options.run.parents[2]
    split = pd.read_parquet(protocol / "split.parquet")
    samples = [DEMO.sample(name) for name in split.loc[split["part"] == "test", "name"]]
    samples = [sample for sample in samples if sample.action not in DEMO.two_person]
    recordings = [read_recording(DEMO.read, each.name, str(dataset / f"raw/{each.name}.skeleton")) for each in samples]
    labels = np.array([sample.action for sample in samples])
    rows = []
    for name, (change, marker) in cases().items():
        rng = np.random.default_rng(0)
        changed = []
        for bodies in recordings:
            joints = np.where(change(bodies.joints, rng)[:, :, None], np.float32(marker), bodies.joints)
            lacking = zero_what_is_not_finite(replace(bodies, joints=joints))
            changed.append(prepared(lacking, predictor.prepare, predictor.layout))
        right = np.zeros(len(changed), bool)
        kept = [index for index, sequence in enumerate(changed) if sequence is not None]
        right[kept] = predictor.scores_of_each([changed[i] for i in kept]).argmax(axis=1) == labels[kept]
        rows.append({"case": name, "recordings": len(right), "right": int(right.sum())})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    table["right_percent"] = (100 * table["right"] / table["recordings"]).round(1)
    table.to_csv(options.out / "unseen.csv", index=False)


if __name__ == "__main__":
    main()
