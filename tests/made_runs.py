"""Small result folders with hostile names in them, as the report reads them."""

import json
from pathlib import Path

import pandas as pd

from danet.datasets.registry import DATASETS

EVIL = "<script>alert(1)</script>"
ACTIONS = ["walk", EVIL, "pay $5 & $6"]
LABELS = [0, 0, 0, 0, 1, 1, 2, 2]
PREDICTIONS = {0: [0, 0, 0, 1, 1, 1, 2, 0], 1: [0, 0, 1, 1, 1, 0, 2, 2], 2: [0, 0, 0, 0, 1, 1, 2, 2]}
VIEWS = ["1", "2", "1", "2", "1", "2", "1", "2"]
TOP1 = {seed: 100 * sum(p == q for p, q in zip(LABELS, own, strict=True)) / 8 for seed, own in PREDICTIONS.items()}
PUBLISHED = Path(__file__).parents[1] / "config" / "published.csv"


def make_run(results, dataset="demo", protocol="cross_view", seed=0, *, method="danet", validation=True, **changes):
    """Writes a run of three epochs; the changes are those of its metrics."""
    folder = results / dataset / protocol / method / f"seed{seed}"
    folder.mkdir(parents=True)
    shared = {"dataset": dataset, "protocol": protocol, "method": method, "seed": seed}
    shared |= {"simulated": DATASETS[dataset].simulated, "parameters": 1234, "seconds": 61.0}
    shared |= {"epoch": 2, "validation_top1": 0.5 if validation else None}
    metrics = {"top1": TOP1[seed] / 100, "top5": 1.0, "samples": 8}
    metrics["turned"] = {"samples": 8, "degrees": [-180, 0, 180], "top1": [0.25, 0.5, 0.25 + seed / 4]}
    jitter = {"what": "jitter", "level": 2, "unit": "cm", "samples": 8, "plain": 0.5, "top1": 0.25 + seed / 8}
    metrics["corruptions"] = [jitter]
    bins = [{"samples": 3, "confidence": 0.5, "accuracy": 1}, {"samples": 5, "confidence": 0.9, "accuracy": 0.7}]
    metrics["calibration"] = {"error": 0.3125, "bins": bins}
    record = {"title": DATASETS[dataset].title, "settings": {"train": {"epochs": 3}}, "versions": {"torch": "2.0"}}
    record |= {"git": {"commit": "abc123", "dirty": False}, "code": {"train": "ff"}, "data_hash": "d0d0"}
    record |= {"counts": {"train": 5, "validation": 2, "test": 8}, "actions": ACTIONS, "layout": "kinect_v2_25"}
    record |= {"device": "CPU", "fused_members": 1}
    (folder / "metrics.json").write_text(json.dumps(shared | metrics | changes))
    (folder / "run.json").write_text(json.dumps(shared | record))
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in make_history(validation)))
    names = [f"sample{i}" for i in range(8)]
    scores = {
        "name": names,
        "segment": 0,
        "copy": False,
        "label": LABELS,
        "prediction": PREDICTIONS[seed],
        "scores": [[0.5, 0.25, 0.25]] * 8,
    }
    pd.DataFrame(scores).to_parquet(folder / "scores.parquet")
    (folder / "attention.json").write_text(json.dumps(make_attention()))
    return folder


def make_history(validation=True):
    """Three epochs that get better and better."""
    rows = []
    for epoch in (1, 2, 3):
        row = {"epoch": epoch, "train_loss": 3 - epoch / 2, "train_top1": epoch / 4, "learning_rate": 0.01}
        row |= {"waited": 0.1, "seconds": 20.0, "validation_loss": None, "validation_top1": None}
        if validation:
            row |= {"validation_loss": 3.1 - epoch / 2, "validation_top1": epoch / 5}
        rows.append(row)
    return rows


def edit_record(folder, **changes):
    """Writes the run's `run.json` anew with these changes."""
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | changes))


def make_attention():
    """One performance from two cameras: 8 frames of 25 joints, the second of which gets most attention."""
    joints = [[[[0.01 * joint, 0.05 * joint + 0.01 * frame, 0.0] for joint in range(25)] for frame in range(8)]]
    shares = [0.04] * 25
    shares[1] += 0.2
    view = {"prediction": "walk", "score": 0.5, "joints": joints}
    view |= {"joint_attention": shares, "patch_attention": [0.25, 0.75]}
    views = [
        view | {"name": f"a{EVIL}", "view": "1", "part": "test"},
        view | {"name": "b", "view": "2", "part": "train"},
    ]
    shown = {"action": EVIL, "performance": "p", "views": views, "pair_attention": [[0.04] * 25] * 25}
    agreement = {"pairs": 3, "same_performance": 0.75, "other_actions": 0.25}
    tokens = [f"joint {index}" for index in range(25)]
    agreed = {"joints": agreement, "patches": None}
    return {"layout": "kinect_v2_25", "tokens": tokens, "agreement": agreed, "shown": [shown]}


def make_preparation(results, dataset="demo", *, aside=1, manifest=True):
    folder = results / dataset
    folder.mkdir(parents=True, exist_ok=True)
    one, two = 0, min(DATASETS[dataset].two_person, default=0)
    if manifest:
        rows = {"name": [f"sample{i}" for i in range(8)], "action": LABELS, "view": VIEWS, "subject": 7, "setup": 0}
        pd.DataFrame(rows).to_parquet(folder / "manifest.parquet")
    rows = {"name": "bad", "file": "data/bad.skeleton", "reason": "unreadable", "line": 12, "frame": 3, "body": 0}
    columns = [*rows, "expected", "got"]
    table = pd.DataFrame([rows | {"expected": "a number", "got": f"{EVIL} {i}"} for i in range(aside)], columns=columns)
    table.to_parquet(folder / "set_aside.parquet")
    audit = {"name": ["a", "b", "c", "d"], "action": [one, one, two, two], "frames": [10, 30, 20, 20]}
    audit |= {"lost_frames": [1, 0, 2, 3], "ids": [1, 3, 2, 2], "kept": [1, 2, 2, 1], "actors": [1, 2, 2, 1]}
    audit |= {"bridged": [0, 7, 0, 0], "never_seen": 0, "dropped_unseen": 0}
    audit |= {"dropped_short": [0, 1, 0, 0], "dropped_noisy": [0, 0, 0, 1], "dropped_still": 0, "dropped_overlap": 0}
    audit |= {"jump": [0.0, 0.7, 0.2, 0.0], "jumps": [0, 1, 0, 0], "gaps": 0}
    audit |= {"shifted": [0, 5, 0, 1], "doubts": ["", "y_down", "", ""]}
    pd.DataFrame(audit).to_parquet(folder / "audit.parquet")
    return folder


def make_split(results, dataset, protocol, count):
    """Writes a manifest of so many samples and their split, a third of which is tested, as if all were prepared."""
    folder = make_preparation(results, dataset)
    names = [f"sample{i}" for i in range(count)]
    actions = [i % len(DATASETS[dataset].actions) for i in range(count)]
    rows = {"name": names, "action": actions, "view": "1", "subject": 7, "setup": 0, "aside": ""}
    pd.DataFrame(rows).to_parquet(folder / "manifest.parquet")
    parts = ["train" if i % 3 else "test" for i in range(count)]
    pd.DataFrame({"name": names, "part": parts}).to_parquet(folder / protocol / "split.parquet")
    for record in (folder / protocol).rglob("run.json"):
        edit_record(record.parent, counts={part: parts.count(part) for part in ("train", "validation", "test")})
    return folder
