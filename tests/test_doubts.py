"""What is no person in metres, y up, is noticed, told and, with `strict`, refused; what is one is left alone."""

import json
import logging
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from danet.cli import main
from danet.config.settings import Prepare, Simulate
from danet.datasets.custom import own_data
from danet.datasets.demo import DEMO
from danet.datasets.readers.any_file import bodies_of, read_npy
from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.datasets.readers.nw_ucla import read_nw_ucla
from danet.datasets.readers.utd_mhad import read_utd_mhad
from danet.errors import UserError
from danet.preparation.check import as_text, check_folder
from danet.preparation.denoise import denoise_all, tell_doubts
from danet.preparation.manifest import make_manifest
from danet.preparation.parse import parse
from danet.simulate.simulate import performances, simulate_text
from danet.skeleton.doubts import RARE, Doubts, doubts_of
from danet.skeleton.layout import KINECT_V1, KINECT_V2, LAYOUTS, make_layout, read_layout

UTD_ORDER = [3, 2, 1, 0, *range(4, 20)]  # head, shoulder centre, spine, hip centre, then as Kinect v1
HUMAN36M = [0, 16, 17, 18, 12, 13, 14, 1, 20, 2, 3, 4, 5, 6, 8, 9, 10]  # its 17 among the 25 of Kinect v2


@pytest.fixture(scope="module")
def demo():
    """Recordings of two people, 17 actions each, from camera 1."""
    settings = Simulate(performers=2, setups=1, replications=1, frames=30)
    texts = [simulate_text(settings, performance, 1) for performance in performances(settings)]
    return [read_skeleton_text(f"made{number}", "", text.encode()) for number, text in enumerate(texts)]


def changed(recordings, change):
    return [replace(bodies, joints=change(bodies.joints.copy()).astype(np.float32)) for bodies in recordings]


def counted(recordings, layout=KINECT_V2):
    return Doubts(doubts_of(bodies, layout) for bodies in recordings)


def pixels(joints):
    picture = 400 - 500 * joints / joints[..., 2:]  # of a camera: x to the right, y down
    picture[..., 2] = np.linspace(0.3, 1, joints[..., 2].size).reshape(joints.shape[:-1])
    return picture


def flat(joints):
    return pixels(joints) * [1, -1, 0]


def lost(value, share):
    def change(joints):
        joints[np.random.default_rng(3).random(joints.shape[:2]) < share] = value
        return joints

    return change


def without_feet(joints):
    joints[:, [14, 15, 18, 19]] = 0
    return joints


@pytest.mark.parametrize(
    "change", [lambda joints: joints, lost(0, 0.05), lost(-1, 0.05), lost(np.nan, 0.2), lost(0, 0.2), without_feet]
)
def test_people_in_metres_are_believed(demo, change):
    assert counted(changed(demo, change)).lines(passed_over=["unseen"]) == []


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("millimetres", lambda joints: joints * 1000),
        ("centimetres", lambda joints: joints * 100),
        ("unit", lambda joints: joints / 0.0254 / 12),
        ("unit", lambda joints: joints / 1000),
        ("confidence", pixels),
        ("confidence", lambda joints: pixels(joints) / [2000, 2000, 1]),
        ("flat", flat),
        ("y_down", lambda joints: joints * [1, -1, 1]),
        ("mirrored", lambda joints: joints * [-1, 1, 1]),
        ("mirrored", lambda joints: joints[:, KINECT_V2.mirrored]),
        ("order", lambda joints: joints[:, np.random.default_rng(5).permutation(25)]),
    ],
)
def test_other_numbers_are_noticed(demo, kind, change):
    doubts = counted(changed(demo, change))
    assert doubts.counts[kind] >= 0.95 * len(demo)
    expected = {"confidence": {"confidence", "y_down"}}.get(kind, {kind})
    assert {each for each, count in doubts.counts.items() if count > RARE * len(demo)} <= expected


def test_millimetres_are_noticed_where_joints_are_lost(demo):
    assert counted(changed(demo, lambda joints: lost(0, 0.2)(joints * 1000))).counts["millimetres"] == len(demo)


def test_other_orders_of_as_many_joints_are_noticed(demo):
    of_v1, of_coco = (
        changed(demo, lambda joints: joints[:, :20][:, UTD_ORDER]),
        changed(demo, lambda joints: joints[:, HUMAN36M]),
    )
    assert counted(of_v1, KINECT_V1).counts["order"] == len(demo)
    assert counted(of_coco, LAYOUTS["coco_17"]).counts["order"] == len(demo)


def test_bones_that_change_their_length_are_noticed(demo):
    swelling = changed(demo, lambda joints: joints * np.geomspace(0.2, 5, len(joints))[:, None, None])
    assert counted(swelling).counts["changing"] >= 0.95 * len(demo)


def test_lying_is_not_upside_down(demo):
    lying = changed(demo, lambda joints: joints[..., [1, 0, 2]] * [-1, 1, 1])
    assert counted(lying).lines() == []


def test_a_few_odd_recordings_are_no_fault_of_a_set():
    assert Doubts([["y_down"], *[[]] * 49]).lines() == []
    (line,) = Doubts([["y_down"]] * 3 + [[]] * 47).lines()
    assert line == "y points down? 3 of 50 recordings: the head is below the feet"
    assert Doubts([["y_down"]]).lines() == ["y points down? the head is below the feet"]


def test_joints_of_unknown_names_are_asked_for_unit_and_bones_alone(demo):
    definition = {
        "name": "numbered",
        "joints": [f"j{v}" for v in range(25)],
        "parents": {f"j{v}": f"j{p}" for v, p in KINECT_V2.bones},
        "parts": {"all": [f"j{v}" for v in range(25)]},
        "mirror": [],
        "origin": "j1",
        "across": [["j4", "j8"]],
    }
    layout = make_layout(definition, "numbered")
    assert counted(demo, layout).lines() == []
    assert counted(changed(demo, lambda joints: joints * [1, -1, 1]), layout).lines() == []
    assert counted(changed(demo, lambda joints: joints * 1000), layout).counts == {"millimetres": len(demo)}
    shuffled = changed(demo, lambda joints: joints[:, np.random.default_rng(5).permutation(25)])
    assert counted(shuffled, layout).counts["order"] == len(demo)


def test_a_single_point_is_measured():
    point = np.ones((9, 1, 25, 3), np.float32)
    assert doubts_of(bodies_of("point", 3 * point), KINECT_V2) == ["unit"]


def test_nobody_is_no_doubt():
    assert doubts_of(bodies_of("empty", np.zeros((3, 1, 25, 3), np.float32)), KINECT_V2) == []
    assert doubts_of(bodies_of("lost", np.full((3, 1, 25, 3), -1, np.float32)), KINECT_V2) == []


@pytest.fixture
def write(tmp_path, demo):
    """Writes own data made of the demo's recordings, changed, and returns their folder."""

    def written(change, joints=25, layout="kinect_v2_25"):
        folder = tmp_path / "own"
        folder.mkdir()
        lines = ["path,label,subject,view,layout"]
        for number, bodies in enumerate(changed(demo, change)):
            longest = np.bincount(bodies.index.track).argmax()
            np.save(folder / f"{bodies.name}.npy", bodies.joints[bodies.index.track == longest, :joints])
            lines.append(f"{bodies.name}.npy,action {number % 2},{number % 3},front,{layout}")
        (folder / "samples.csv").write_text("\n".join(lines))
        return folder

    return written


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the `danet` command in this process: exit code, what it printed, and its error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["danet", *map(str, words)])
        logging.getLogger().handlers.clear()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def test_check_names_doubts_and_the_layout_that_it_took(write, demo):
    folder = write(lambda joints: joints * [1000, -1000, 1000], joints=20, layout="")
    report = check_folder(own_data(folder), folder, jobs=1)
    assert report["sound"], "a doubt is a question"
    assert report["layout"] == "kinect_v1_20, guessed from 20 joints"
    assert report["doubts"]["names"]["y_down"] == sorted(bodies.name for bodies in demo)
    assert report["doubts"]["names"]["order"] == []
    text = as_text(report)
    assert text.splitlines()[0].endswith(": sound, with doubts")
    assert f"y points down? {len(demo)} of {len(demo)} recordings: the head is below the feet" in text
    assert "in millimetres or pixels?" in text
    assert "layout       kinect_v1_20, guessed from 20 joints" in text
    json.dumps(report)


def test_check_knows_the_layout_of_a_table_with_one_beside_it(write):
    folder = write(lambda joints: joints, layout="")
    (folder / "layout.yaml").write_text(json.dumps(KINECT_V2.definition))
    text = as_text(check_folder(own_data(folder), folder, jobs=1))
    assert text.splitlines()[0].endswith(": sound")
    assert "guessed" not in text
    assert "doubts" not in text


def test_prepare_tells_doubts_and_refuses_them_if_strict(write, command, tmp_path):
    folder = write(lambda joints: joints * 1000)
    out = tmp_path / "own.h5"
    code, printed, error = command("prepare", "custom", "--raw", folder, "--out", out, "--jobs", 1)
    assert (code, json.loads(printed)["samples"]) == (0, 34)
    assert "danet: custom: in millimetres or pixels? 34 of 34 recordings" in error
    audit = pd.read_parquet(tmp_path / "own_audit.parquet")
    assert set(audit["doubts"]) == {"millimetres"}
    out.unlink()
    code, printed, error = command("prepare", "custom", "--raw", folder, "--out", out, "--jobs", 1, "--strict")
    assert (code, printed, out.exists()) == (2, "", False)
    assert "danet: custom: expected people in metres" in error.splitlines()[-1]


def test_stages_log_doubts_and_refuse_them_if_strict(write, tmp_path, caplog):
    dataset = own_data(write(lambda joints: joints * [1, -1, 1], joints=20, layout=""))
    caplog.set_level(logging.INFO)
    manifest = make_manifest(dataset, [])
    parsed = [tmp_path / name for name in ("bodies.h5", "set_aside.parquet", "contents.parquet")]
    actors, audit = tmp_path / "actors.h5", tmp_path / "audit.parquet"
    for strict in (False, True):
        settings = Prepare(strict=strict)
        parse(manifest, dataset, *parsed, settings=settings, jobs=1)
        assert "custom: joints taken for those of kinect_v1_20, guessed from 20 joints" in caplog.text
        caplog.clear()
        if strict:
            actors.unlink()
            with pytest.raises(UserError, match=r"custom: expected people in metres.* y points down"):
                denoise_all(parsed[0], actors, audit, settings)
            assert not actors.exists()
        else:
            denoise_all(parsed[0], actors, audit, settings)
        assert "custom: y points down? 34 of 34 recordings: the head is below the feet" in caplog.text


def test_strict_accepts_flat_key_points(caplog):
    tell_doubts("custom", [{"doubts": "flat"}], strict=True)
    assert "key points of a picture?" in caplog.text
    with pytest.raises(UserError, match="y points down"):
        tell_doubts("custom", [{"doubts": "flat y_down"}], strict=True)


def test_draw_tells_doubts_and_the_layout_that_it_took(write, command, tmp_path):
    file = write(lambda joints: joints * [1, -1, 1], joints=20) / "made0.npy"
    code, printed, error = command("draw", file, "--out", tmp_path / "drawn.png")
    assert (code, json.loads(printed)["kept"]) == (0, 1)
    assert error.splitlines() == [
        f"danet: {file}: taken for kinect_v1_20, guessed from 20 joints",
        f"danet: {file}: y points down? the head is below the feet",
    ]


def clips_of(folder):
    return [read_npy(file.stem, str(file), file.read_bytes()) for file in sorted((folder / "clips").glob("*.npy"))]


def mats_of(folder):
    files = sorted((folder / "Skeleton").glob("*.mat"))
    return [read_utd_mhad(file.stem, str(file), file.read_bytes()) for file in files]


def real(recordings, name):
    """The recordings of a real set, and their layout."""
    folder = recordings / name
    if name == "all_sqe":
        return [read_nw_ucla(file.stem, "", file.read_bytes()) for file in sorted(folder.glob("*.json"))], KINECT_V1
    if name == "utd_mhad":
        return mats_of(folder), KINECT_V1
    if name == "ntu_samples":
        files = sorted(folder.glob("*.skeleton"))
        return [read_skeleton_text(file.stem, "", file.read_bytes()) for file in files], KINECT_V2
    return clips_of(folder), read_layout(folder / "layout.yaml") if name == "sbu_interaction" else KINECT_V1


@pytest.mark.parametrize("name", ["ntu_samples", "all_sqe", "utd_mhad", "msr_action3d", "utkinect", "sbu_interaction"])
def test_real_sets_are_believed_and_noticed_when_changed(recordings, name):
    sightings, layout = real(recordings, name)
    assert counted(sightings, layout).lines() == []
    for kind, factors in {"millimetres": 1000, "y_down": [1, -1, 1], "mirrored": [-1, 1, 1]}.items():
        if (name, kind) != ("sbu_interaction", "mirrored"):  # its feet have no ankles
            doubts = counted(changed(sightings, lambda joints, by=factors: joints * by), layout)
            assert doubts.counts[kind] > 0.75 * doubts.recordings


def test_another_order_of_a_real_set_is_noticed_in_any_unit(recordings):
    sightings, _ = real(recordings, "utd_mhad")
    as_given = changed(sightings, lambda joints: joints[:, UTD_ORDER])
    assert counted(as_given, KINECT_V1).counts == {"order": len(sightings)}
    in_millimetres = counted(changed(as_given, lambda joints: 1000 * joints), KINECT_V1)
    assert in_millimetres.counts == {"order": len(sightings), "millimetres": len(sightings)}


def test_predict_tells_doubts_on_stderr_alone(write, command, tmp_path):
    torch = pytest.importorskip("torch")
    from danet.models.weights import build_model, describe, save_weights

    for face_camera, expected in ((True, 1), (False, 0)):
        description = DEMO.describe() | {
            "clips": {"frames": 8, "face_camera": face_camera},
            "model": {"width": 16, "blocks": 1, "heads": 2},
            "prepare": Prepare().model_dump(),
            "actions": list(DEMO.actions),
        }
        torch.manual_seed(1)
        model = build_model(description)
        weights = tmp_path / "weights.safetensors"
        save_weights(weights, model.state_dict(), description | describe(model))
        folder = tmp_path / "own" if (tmp_path / "own").exists() else write(flat)
        code, printed, error = command("predict", weights, folder, "--json")
        assert (code, len(json.loads(printed))) == (0, 34)
        assert error.count("danet: key points of a picture? 34 of 34 recordings: z is 0 throughout\n") == expected
        assert len([line for line in error.splitlines() if line.startswith("danet: ")]) == expected


def test_joints_not_found_are_told_and_not_refused(caplog):
    joints = np.random.default_rng(0).normal(0, 0.4, (20, 1, 25, 3)).astype(np.float32) + 3
    joints[:, :, 0] = 0
    assert "unseen" not in doubts_of(bodies_of("one", joints), KINECT_V2), "as the origin of centred coordinates"
    joints[3, :, 1] = np.nan
    assert "unseen" in doubts_of(bodies_of("more", joints), KINECT_V2)
    tell_doubts("custom", [{"doubts": "unseen"}], strict=True)
    assert "custom: joints not found? more than one joint a frame" in caplog.text
