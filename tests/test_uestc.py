"""Simulated UESTC recordings: their grammar, what their cameras see, and the whole graph on them."""

import re
import shutil
from collections import defaultdict
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Checkout
from scipy.io import loadmat
from scipy.spatial.transform import Rotation
from simulate_uestc import UestcPerformance, simulate_uestc, uestc_motion, uestc_record

from danet.config.settings import Split
from danet.datasets.readers.uestc import read_uestc
from danet.datasets.uestc import TRAIN_SUBJECTS, UESTC, parse_uestc_name
from danet.errors import BadRecording, UserError
from danet.evaluation.combine import average_folds
from danet.io.files import read_json, write_json
from danet.preparation.split import counts, split
from danet.simulate.cameras import COLOUR, DEPTH, pixels
from danet.simulate.tracking import TRACKED
from danet.skeleton.layout import KINECT_V2

SEED, FRAMES = 1, 20
PEOPLE, ACTIONS, COPIES_FROM = (1, 2, 3), 2, 1
SET = {"seed": SEED, "frames": FRAMES, "copies_from": COPIES_FROM}
FORMS = ("text", "text", "v", "skel")
SAME = {5: 3, 6: 2, 7: 1}  # the front's copies
FRONT = range(1, 8)

TINY = {
    "runs": ["uestc/cross_view_2", "uestc/arbitrary_view"],  # the other protocols go the same ways
    "clips": {"frames": 8},
    "model": {"width": 8, "blocks": 1, "heads": 2},
    "train": {"epochs": 1, "warmup_epochs": 0},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "UESTC"
    assert simulate_uestc(folder, people=PEOPLE, actions=ACTIONS, forms=FORMS, **SET) == 2 * 3 * 8 * 2
    return folder


@pytest.fixture(scope="module")
def read(folder):
    """Reads a recording's joints (T, 25, 3) by action, direction, person and camera, with the project's own reader."""
    files = {UESTC.parse_name(file.stem).name: file for file in folder.iterdir()}

    @cache
    def read(action: int, direction: int, person: int, camera: int) -> np.ndarray:
        name = f"a{action}_d{direction}_p{person:03}_c{camera}"
        bodies = UESTC.read(name, files[name].name, files[name].read_bytes())
        assert bodies.frame.tolist() == list(range(bodies.frames))
        return bodies.joints

    return read


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def acted(action: int, direction: int, person: int) -> UestcPerformance:
    """The performance that is seen: what is copied shows an earlier one again."""
    copied = action >= COPIES_FROM and direction in SAME
    return UestcPerformance(action, SAME[direction] if copied else direction, person)


def recorded(action: int, direction: int, person: int, camera: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints and states as they were simulated, before they were written."""
    seen = acted(action, direction, person)
    by = seen if camera == 1 else UestcPerformance(action, direction, person)
    return uestc_record(SEED, by, camera, uestc_motion(SEED, seen, FRAMES))


def test_simulate_uestc_writes_every_sample_once(folder):
    samples = [UESTC.parse_name(file.stem) for file in folder.iterdir()]
    assert len({sample.name for sample in samples}) == len(samples)
    directions = {(sample.action, sample.setup, sample.subject, sample.view) for sample in samples}
    views = {d: ("front", f"d{d}" if d < 8 else "varying") for d in range(1, 9)}
    assert directions == {
        (action, d, person, view) for action, d, person in product(range(ACTIONS), views, PEOPLE) for view in views[d]
    }
    assert {len(re.search(r"_p(\d+)_", name)[1]) for name in contents(folder)} == {1, 2, 3}


def test_simulate_uestc_follows_the_grammar(folder):
    for content in [file.read_text("ascii") for file in sorted(folder.glob("*.txt"))[:6]]:
        lines = [line.split() for line in content.splitlines()]
        whole = len(lines) // 76
        frames = [lines[76 * index : 76 * (index + 1)] for index in range(whole)]
        assert {tuple(frame[0]) for frame in frames} == {("#",)}
        joints, colour, depth = (np.array([frame[1 + kind :: 3] for frame in frames], dtype=float) for kind in range(3))
        assert (joints.shape, colour.shape, depth.shape) == ((whole, 25, 4), (whole, 25, 3), (whole, 25, 3))
        assert (set(joints[..., 3].flat), set(colour[..., 2].flat), set(depth[..., 2].flat)) == ({0}, {1}, {2})
        np.testing.assert_allclose(colour[..., :2], pixels(joints[..., :3], COLOUR), atol=0.02)
        np.testing.assert_allclose(depth[..., :2], pixels(joints[..., :3], DEPTH), atol=0.01)
        assert joints[..., 2].min() > 1


def test_read_uestc_reads_what_was_simulated(folder, read):
    short = set()
    for file in folder.iterdir():
        sample = UESTC.parse_name(file.stem)
        key = (sample.action, sample.setup, sample.subject, int(sample.name[-1]))
        expected, _ = recorded(*key)
        if file.suffix == ".txt":
            cut = file.read_bytes().count(b"\n") != 76 * len(expected)
            short.add(cut)
            expected = expected[: len(expected) - cut]
        # Six digits are printed, and read as float32.
        np.testing.assert_allclose(read(*key), expected, rtol=6e-6, atol=1e-9)
    assert short == {False, True}


@pytest.mark.parametrize("last", ["0.1 0.2", "0.1 -", "0.1 0.2 0.", "0.1 0.2 0.3\n"])
def test_read_uestc_keeps_whole_frames_of_cut_text(last):
    frame = "#\n" + "0.5 0.25 2 0\n10 20 1\n30 40 2\n" * 25
    assert read_uestc("a", "a.txt", (2 * frame + "#\n" + last).encode()).frames == 2
    with pytest.raises(BadRecording, match="expected x, y and z as decimal numbers"):
        read_uestc("a", "a.txt", ("#\n0.1 -\n" + frame).encode())


def test_simulate_uestc_forms_agree(tmp_path):
    joints = defaultdict(list)
    for form in ("text", "v", "skel"):
        simulate_uestc(tmp_path / form, people=(1,), actions=1, forms=(form,), **SET)
        for file in (tmp_path / form).iterdir():
            joints[file.stem].append(UESTC.read("a", file.name, file.read_bytes()).joints)
            if form != "text":
                array = loadmat(file)[form]
                assert array.shape[1:] == ((75,) if form == "v" else (25, 3))
    assert len(joints) == 16
    for text, v, skel in joints.values():
        np.testing.assert_array_equal(v, skel)
        assert len(v) - len(text) in (0, 1)
        np.testing.assert_allclose(text, v[: len(text)], rtol=0, atol=1e-4)


@pytest.mark.parametrize("direction", range(1, 8))
@pytest.mark.parametrize("action", [0, 1])
def test_simulate_uestc_cameras_see_one_motion(read, action, direction):
    tracked = [recorded(action, direction, 2, camera)[1] == TRACKED for camera in (1, 2)]
    front, side = (read(action, direction, 2, camera) for camera in (1, 2))
    frames = min(len(front), len(side))
    both = (tracked[0] & tracked[1])[:frames]
    assert both.mean() > 0.3
    front, side = front[:frames][both], side[:frames][both]
    front, side = front - front.mean(axis=0), side - side.mean(axis=0)
    turn, _ = Rotation.align_vectors(side, front)
    off = np.linalg.norm(turn.apply(front) - side, axis=1)
    assert 0.03 < np.sqrt((off**2).mean()) < 0.1
    azimuth = -np.sign(turn.as_rotvec()[1]) * np.degrees(turn.magnitude()) % 360
    assert azimuth == pytest.approx(45 * direction, abs=7)


def facing_degrees(joints: np.ndarray) -> np.ndarray:
    """(T,): how far the person turns away from the camera, 0 towards it, without jumps from 180 to -180."""
    across = sum(joints[:, left] - joints[:, right] for left, right in KINECT_V2.across)
    return np.degrees(np.unwrap(np.arctan2(-across[:, 2], -across[:, 0])))


@pytest.mark.parametrize("person", PEOPLE)
def test_simulate_uestc_varying_view_turns_once_round(read, person):
    front, varying = (facing_degrees(read(0, 8, person, camera)) for camera in (1, 2))
    assert np.abs(front).max() < 60
    assert varying[-1] - varying[0] == pytest.approx(360, abs=40)
    assert len(np.unique(varying % 360 // 30)) == 12
    for segment, turned in enumerate(np.array_split(varying - front[: len(varying)], 10)):
        assert turned.mean() == pytest.approx(36 * segment + 18, abs=20)


def test_simulate_uestc_varying_view_is_longer(read):
    keys = list(product(range(ACTIONS), PEOPLE))
    fixed = np.mean([len(read(action, d, person, 2)) for (action, person), d in product(keys, FRONT)])
    varying = np.mean([len(read(action, 8, person, 2)) for action, person in keys])
    assert varying / fixed == pytest.approx(9.5, abs=0.6)


def test_simulate_uestc_joins_repetitions():
    joints = uestc_motion(SEED, UestcPerformance(13, 8, 1), 64)  # sitting down: it ends in another pose
    child, parent = KINECT_V2.bones.T
    lengths = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], lengths.shape), atol=1e-9)
    assert np.linalg.norm(np.diff(joints, axis=0), axis=-1).max() < 0.25  # metres a frame


def test_simulate_uestc_copies_fronts_only(folder):
    same = defaultdict(set)
    for name, content in contents(folder).items():
        same[content].add(UESTC.parse_name(Path(name).stem).name)
    copied = {frozenset(names) for names in same.values() if len(names) > 1}
    assert copied == {
        frozenset(f"a{action}_d{d}_p{person:03}_c1" for d in pair)
        for action, person, pair in product(range(COPIES_FROM, ACTIONS), PEOPLE, SAME.items())
    }


def test_simulate_uestc_depends_on_seed_and_name_alone(folder, tmp_path):
    simulate_uestc(tmp_path / "few", people=(2,), actions=ACTIONS, forms=FORMS, **SET)
    few, more = contents(tmp_path / "few"), contents(folder)
    assert few == {name: more[name] for name in few}
    simulate_uestc(tmp_path / "other", people=(2,), actions=1, **SET | {"seed": 2})
    assert not set(contents(tmp_path / "other").values()) & set(more.values())
    assert not any(b"Created on" in content for content in more.values()), "a file holds the time it was made"


@pytest.mark.parametrize(("actions", "people"), [(0, (1,)), (41, (1,)), (1, (0,)), (1, (1, 119))])
def test_simulate_uestc_refuses_other_actions_and_people(tmp_path, actions, people):
    with pytest.raises(UserError, match=r"expected .* got"):
        simulate_uestc(tmp_path / "none", people=people, actions=actions, **SET)
    assert not (tmp_path / "none").exists()


def test_workflow_plans_and_splits_every_protocol(folder, tmp_path):
    names = [parse_uestc_name(path.stem).name for path in sorted(folder.iterdir())]
    for protocol, count in expected_samples().items():
        if protocol not in UESTC.protocols:
            continue
        table = split(UESTC, protocol, [name for name in names if name in kept_names()], Split())
        assert counts(table)["test"] * UESTC.protocols[protocol].segments == count
    checkout = Checkout(tmp_path, TINY | {"runs": "uestc"})
    shutil.copytree(folder, checkout.folder / "data/UESTC")
    assert checkout.stale()["train"] == checkout.stale()["evaluate"] == 1 + 8 + 2 + 1


def kept_names() -> set[str]:
    return {f"a{a}_d{d}_p{p:03}_c{c}" for a, d, p, c in kept()}


def view_of(direction: int, camera: int) -> str:
    return "front" if camera == 1 else f"d{direction}"


def kept() -> list[tuple[int, int, int, int]]:
    """(action, direction, person, camera) of what is left when each copy is set aside."""
    every = product(range(ACTIONS), range(1, 9), PEOPLE, (1, 2))
    return [(a, d, p, c) for a, d, p, c in every if not (c == 1 and d in SAME and a >= COPIES_FROM)]


def expected_samples() -> dict[str, int]:
    """How many samples each protocol and fold tests, counted here by hand."""
    fixed = [(view_of(d, c), person) for _, d, person, c in kept() if d != 8]
    views = [view for view, _ in fixed]
    even = {"front", "d2", "d4", "d6"}
    folds = {f"cross_view_1/{view}": len(views) - views.count(view) for view in sorted(set(views))}
    folds["cross_view_2/even"] = sum(view not in even for view in views)
    folds["cross_view_2/odd"] = sum(view in even for view in views)
    whole = {
        protocol: sum(count for fold, count in folds.items() if fold.startswith(f"{protocol}/"))
        for protocol in ("cross_view_1", "cross_view_2")
    }
    return {
        **folds,
        **whole,
        "cross_subject": sum(person not in TRAIN_SUBJECTS for _, person in fixed),
        "arbitrary_view": 10 * sum(d == 8 and c == 2 for _, d, _, c in kept()),
    }


@pytest.fixture(scope="module")
def results(folder, tmp_path_factory) -> Path:
    """The results of the whole graph; the default profile would train one at a time."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), TINY)
    shutil.copytree(folder, checkout.folder / "data/UESTC")
    checkout.run("all", "--set-threads", "parse=1", "train=1", "evaluate=1", "--resources", "gpu=2")
    return checkout.folder / "results"


def test_workflow_runs_uestc_protocols(results):
    samples = {
        str(file.parents[2].relative_to(results / "uestc")): read_json(file)["samples"]
        for file in (results / "uestc").rglob("danet/seed0/metrics.json")
    }
    built = ("cross_view_2", "cross_view_2/even", "cross_view_2/odd", "arbitrary_view")
    assert samples == {protocol: expected_samples()[protocol] for protocol in built}
    assert (results / "report/index.html").exists()


def test_average_folds_gives_the_mean_of_cells(results):
    whole = read_json(results / "uestc/cross_view_2/danet/seed0/metrics.json")
    for fold, accuracy in whole["folds"].items():
        assert read_json(results / f"uestc/{fold}/danet/seed0/metrics.json")["top1"] == accuracy
    assert len(whole["cells"]) == 2 * 4
    assert whole["top1"] == pytest.approx(np.mean(list(whole["cells"].values())))


def test_average_folds_without_validation_part(tmp_path):
    folds = {"even": (1.0, 3), "odd": (0.5, 2)}  # what of them is right, and how many views they are tested in
    for fold, (right, views) in folds.items():
        (tmp_path / fold).mkdir()
        names = [f"a1_d{view}_p{person:03}_c2" for view in range(1, views + 1) for person in (1, 2)]
        scores = pd.DataFrame({"name": names, "label": 1, "prediction": [1, int(right)] * views})
        scores = scores.assign(segment=0, copy="", scores=[[0.5, 0.5]] * len(names))
        scores.to_parquet(tmp_path / fold / "scores.parquet")
        metrics = {"dataset": "uestc", "protocol": f"cross_view_2/{fold}", "method": "danet", "seed": 0, "top1": right}
        metrics |= {"simulated": False, "parameters": 1, "top5": 1.0, "seconds": 2, "validation_top1": None}
        metrics |= {"samples": len(names), "epoch": None}
        write_json(tmp_path / fold / "metrics.json", metrics)
    folders = {fold: tmp_path / fold for fold in folds}
    average_folds(folders, UESTC, tmp_path / "scores.parquet", tmp_path / "metrics.json")
    whole = read_json(tmp_path / "metrics.json")
    assert whole["validation_top1"] is None
    assert len(whole["cells"]) == 5
    assert whole["top1"] == pytest.approx((3 * 1.0 + 2 * 0.5) / 5)


def test_parse_sets_uestc_copies_aside(results):
    table = pd.read_parquet(results / "uestc/set_aside.parquet").set_index("name")
    originals = {
        f"a{action}_d{d}_p{person:03}_c1": f"a{action}_d{SAME[d]}_p{person:03}_c1"
        for action, person, d in product(range(COPIES_FROM, ACTIONS), PEOPLE, SAME)
    }
    assert set(table.index) == set(originals)
    for name, original in originals.items():
        said = f"{table.reason[name]}; {table.got[name]}"
        assert said.startswith("a copy")
        assert said.endswith(original)


def test_evaluate_scores_varying_view_in_ten_segments(results):
    run = results / "uestc/arbitrary_view/danet/seed0"
    scores, metrics = pd.read_parquet(run / "scores.parquet"), read_json(run / "metrics.json")
    recordings = {f"a{a}_d8_p{p:03}_c2" for a, p in product(range(ACTIONS), PEOPLE)}
    assert sorted(zip(scores["name"], scores["segment"], strict=True)) == sorted(product(recordings, range(10)))
    right = (scores["label"] == scores["prediction"]).groupby(scores["segment"]).mean()
    np.testing.assert_allclose(metrics["segments"], right)
    assert metrics["top1"] == pytest.approx(np.mean(metrics["segments"]))
