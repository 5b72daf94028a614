"""Own data made of what other programs wrote: each form on a made-up file, real recordings, and hostile files."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from made_imports import landmarks, made, standing, write_set

from danet.cli import app
from danet.datasets.custom import own_data
from danet.errors import UserError
from danet.importing.forms import import_form
from danet.importing.found import Options
from danet.importing.own_data import Labels, read_labels
from danet.preparation.check import check_folder
from danet.skeleton.layout import LAYOUTS


def as_dicts(array):
    return [[dict(zip(("x", "y", "z", "visibility"), mark, strict=True)) for mark in frame] for frame in array.tolist()]


@pytest.mark.parametrize("form", ["array", "row", "frames", "json", "keyed", "people"])
def test_world_landmarks_of_mediapipe_in_each_form_give_the_same_recording(form, tmp_path):
    theirs, ours = landmarks()
    theirs[3, 5, 3] = 0.1
    ours[3, 5] = 0
    folder = tmp_path / "in/wave"
    folder.mkdir(parents=True)
    if form == "array":
        np.save(folder / "a.npy", theirs)
    elif form == "row":
        np.save(folder / "a.npy", np.concatenate([theirs.reshape(12, 132), np.zeros((12, 1530))], axis=1))
    elif form == "frames":
        (folder / "a").mkdir()
        for frame, marks in enumerate(theirs):
            np.save(folder / f"a/{frame}.npy", marks.reshape(-1))
    else:
        value = as_dicts(theirs)
        if form == "keyed":
            value = {"frames": [{"pose_landmarks": [], "pose_world_landmarks": marks} for marks in value]}
        if form == "people":
            value = [{"landmarks": [marks]} for marks in value]
        (folder / "a.json").write_text(json.dumps(value))
    report, lines, arrays = made("mediapipe", tmp_path / "in", tmp_path / "out")
    assert lines[1] == "recordings/wave_a.npy,wave,unknown,unknown"
    assert arrays["wave_a"].shape == (1, 12, 33, 3)
    assert arrays["wave_a"].dtype == np.float32
    np.testing.assert_allclose(arrays["wave_a"][0], ours, atol=1e-6)
    assert (report["recordings"], report["labels"], report["layout"]) == (1, {"wave": 1}, "mediapipe_33")
    assert "world landmarks in metres" in report["changes"]


def test_landmarks_of_a_picture_are_flat_and_stretched_by_the_aspect(tmp_path):
    marks = np.random.default_rng(0).uniform(0.3, 0.6, (5, 33, 3))
    np.save(tmp_path / "a.npy", marks)
    report, _, arrays = made("mediapipe", tmp_path / "a.npy", tmp_path / "out", aspect=1.5)
    np.testing.assert_allclose(arrays["a"][0], marks * [1.5, -1, 0], atol=1e-6)
    assert "times 1.5" in report["changes"]
    plain, _, _ = made("mediapipe", tmp_path / "a.npy", tmp_path / "plain")
    assert "--aspect" in plain["changes"]


def test_world_landmarks_and_those_of_a_picture_are_not_mixed(tmp_path, capsys):
    np.save(tmp_path / "a.npy", landmarks()[0])
    np.save(tmp_path / "b.npy", np.full((5, 33, 3), 0.5))
    report, _, arrays = made("mediapipe", tmp_path, tmp_path / "out")
    assert (list(arrays), report["unreadable"]) == (["a"], 1)
    assert "expected world landmarks" in capsys.readouterr().err


def openpose_frame(people):
    return json.dumps({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": p} for p in people]})


@pytest.mark.parametrize("name", [name for name in ("openpose_25", "openpose_18") if name in LAYOUTS] or ["coco_17"])
def test_folders_of_openpose(name, tmp_path):
    layout, rng = LAYOUTS[name], np.random.default_rng(0)
    points = rng.uniform(100, 900, (4, 2, layout.size, 3))  # frames, people
    points[..., 2] = 0.9
    points[1, 0, 3] = [50, 60, 0.2]
    for label in ("wave", "sit"):
        folder = tmp_path / "in" / label / "take 1"
        folder.mkdir(parents=True)
        for frame in (0, 1, 3):
            people = points[frame].reshape(2, -1).tolist()
            (folder / f"v_{frame:012}_keypoints.json").write_text(openpose_frame(people))
    report, lines, arrays = made("openpose", tmp_path / "in", tmp_path / "out", layout=layout)
    assert report["labels"] == {"sit": 1, "wave": 1}
    assert lines[1].startswith("recordings/sit_take_1.npy,sit,")
    array = arrays["wave_take_1"]
    assert array.shape == (2, 4, layout.size, 3)
    assert not array[:, 2].any(), "a frame without a file shows nobody"
    assert not array[0, 1, 3].any(), "a low score was not seen"
    np.testing.assert_allclose(array[1, 3], points[3, 1] * [1, -1, 0], atol=1e-3)
    assert "pixels" in report["changes"]


def azure(joints, ids=(7,)):
    """The JSON of (T, V, 3) metres in own data's axes, the same for each id, aside by its place."""
    bodies = lambda frame: [  # noqa: E731
        {"body_id": who, "joint_positions": ((frame + [place, 0, 0]) * [-1000, -1000, 1000]).tolist()}
        for place, who in enumerate(ids)
    ]
    return json.dumps({"frames": [{"bodies": bodies(frame), "num_bodies": len(ids)} for frame in joints]})


def test_azure_kinect_is_turned_and_in_metres_and_keeps_who_is_who(tmp_path):
    layout = LAYOUTS.get("azure_kinect_32") or LAYOUTS["kinect_v2_25"]
    joints = standing(layout)
    (tmp_path / "a.json").write_text(azure(joints, (7, 3)))
    report, _, arrays = made("azure-kinect", tmp_path / "a.json", tmp_path / "out", layout=layout)
    np.testing.assert_allclose(arrays["a"], [joints, joints + [1, 0, 0]], atol=1e-5)
    assert report["changes"].startswith("millimetres to metres")


def test_a_layout_that_the_form_needs_and_nobody_ships_is_asked_for(tmp_path):
    (tmp_path / "a.json").write_text(azure(np.ones((3, 31, 3))))
    with pytest.raises(UserError, match=r"--layout: expected .* got none for 31 joints"):
        import_form("azure-kinect", tmp_path / "a.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_own_data_made_without_subjects_can_be_checked_and_says_what_tests(tmp_path, capsys):
    write_set(tmp_path / "in")
    made("mediapipe", tmp_path / "in", tmp_path / "out")
    assert "taken for one person's repetitions" in capsys.readouterr().err
    dataset = own_data(tmp_path / "out")
    assert (dataset.actions, dataset.layout.name, list(dataset.protocols)) == (
        ("sit", "wave"),
        "mediapipe_33",
        ["repetitions"],
    )
    report = check_folder(dataset, tmp_path / "out", jobs=1)
    assert (report["counts"]["found"], report["damaged"]) == (10, [])


def test_labels_from_a_table_by_name_or_path_with_what_else_is_known(tmp_path, capsys):
    write_set(tmp_path / "in", each=2)
    table = tmp_path / "labels.csv"
    table.write_text("path,label,subject,view\nsit/0.npy,sit down,1,left\nwave/1.npy,wave,2,right\nsit/1.npy,wave,2,\n")
    _, lines, _ = made("mediapipe", tmp_path / "in", tmp_path / "out", labels=read_labels(table))
    assert lines == [
        "path,label,subject,view",
        "recordings/sit_0.npy,sit down,1,left",
        "recordings/sit_1.npy,wave,2,unknown",
        "recordings/wave_1.npy,wave,2,right",
    ]
    assert "1 recordings are not in the table" in capsys.readouterr().err
    assert set(own_data(tmp_path / "out").protocols) == {"cross_subject", "cross_view"}


def test_one_label_for_all(tmp_path, capsys):
    write_set(tmp_path / "in", each=1)
    report, _, _ = made("mediapipe", tmp_path / "in", tmp_path / "out", labels=Labels("jump"))
    assert report["labels"] == {"jump": 2}
    assert "training takes two or more" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["name\na\n", "path,label\na,\n", "path,label,split\na,b,some\n", "path,label\n\xff"])
def test_a_wrong_table_of_labels_is_one_line(table, tmp_path):
    (tmp_path / "l.csv").write_bytes(table.encode("latin1"))
    with pytest.raises(UserError, match=r"l\.csv"):
        read_labels(tmp_path / "l.csv")


def test_an_output_that_is_there_is_refused_and_what_fails_leaves_nothing(tmp_path):
    np.save(tmp_path / "a.npy", landmarks()[0])
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="not there yet"):
        import_form("mediapipe", tmp_path / "a.npy", tmp_path / "out")
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(UserError, match="expected a recording that can be read"):
        import_form("mediapipe", tmp_path / "bad.json", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "bad.json", "out"]


@pytest.mark.parametrize("form", ["video", "inferencer", "results", "annotations"])
def test_key_points_in_json_in_each_form_give_the_same_recording(form, tmp_path):
    points = np.random.default_rng(0).uniform(100, 900, (4, 17, 2))
    score = np.full((4, 17, 1), 0.9)
    score[2, 4] = 0.1
    frames = [0, 1, 3]
    if form in ("video", "inferencer"):
        value = [
            {
                "frame_id": f,
                "instances": [{"keypoints": points[f].tolist(), "keypoint_scores": score[f, :, 0].tolist()}],
            }
            for f in frames
        ]
        value = {"meta_info": {}, "instance_info": value} if form == "video" else value
    else:
        rows = np.concatenate([points, score], axis=2).reshape(4, -1).tolist()
        value = [{"image_id": f"{f:06}.jpg", "category_id": 1, "keypoints": rows[f], "score": 0.8} for f in frames]
        value = {"images": [], "annotations": value} if form == "annotations" else value
    (tmp_path / "a.json").write_text(json.dumps(value))
    report, _, arrays = made("coco", tmp_path / "a.json", tmp_path / "out")
    assert report["layout"] == "coco_17"
    expected = np.concatenate([points * [1, -1], np.zeros((4, 17, 1))], axis=2)
    expected[2] = 0  # not listed
    np.testing.assert_allclose(arrays["a"][0], expected, atol=1e-3)


def test_people_in_json_are_told_apart_by_their_id_else_by_their_place(tmp_path):
    def body(frame, x, **more):
        return {"image_id": frame, "keypoints": [x, 1, 1] * 17} | more

    (tmp_path / "id.json").write_text(
        json.dumps([body(0, 1, track_id=5), body(1, 2, track_id=8), body(1, 1, track_id=5)])
    )
    (tmp_path / "place.json").write_text(json.dumps([body(0, 1), body(1, 2), body(1, 1)]))
    _, _, arrays = made("coco", tmp_path, tmp_path / "out")
    assert arrays["id"][:, :, 0, 0].tolist() == [[1, 1], [0, 2]]
    assert arrays["place"][:, :, 0, 0].tolist() == [[1, 2], [0, 1]]


def test_numbers_of_pictures_that_are_no_frames_are_ranked(tmp_path):
    value = [{"image_id": image, "keypoints": [1, 1, 1] * 17} for image in (10**15, 3, 10**15)]
    value[2]["track_id"] = 1
    (tmp_path / "a.json").write_text(json.dumps(value))
    assert made("coco", tmp_path / "a.json", tmp_path / "out")[2]["a"].shape == (2, 2, 17, 3)


def test_more_people_than_own_data_holds_keeps_those_seen_most_often(tmp_path, capsys):
    value = [
        {"image_id": frame, "track_id": who, "keypoints": [who, 1, 1] * 17}
        for frame in range(3)
        for who in range(1, 10)
        if who > 3 or not frame
    ]
    (tmp_path / "a.json").write_text(json.dumps(value))
    array = made("coco", tmp_path / "a.json", tmp_path / "out")[2]["a"]
    assert array[:, 0, 0, 0].tolist() == [4, 5, 6, 7, 8, 9]
    assert "9 people by their ids; the 6 seen most often are kept" in capsys.readouterr().err


@pytest.mark.parametrize("joints", ["number", "name"])
def test_rows_of_csv(joints, tmp_path):
    layout, ours = LAYOUTS["kinect_v1_20"], standing(LAYOUTS["kinect_v1_20"], 3)
    ours[1, 2] = 0
    lines = ["Frame, joint,x,y,z,confidence,body"]
    for frame, joint in np.ndindex(3, 20):
        name = joint if joints == "number" else layout.joints[joint].upper().replace(" ", "_")
        x, y, z = ours[frame, joint] * [-1000, -1000, 1000] + (5 if (frame, joint) == (1, 2) else 0)
        lines.append(f"{frame + 7},{name},{x},{y},{z},{0.1 if (frame, joint) == (1, 2) else 1},Ada")
    (tmp_path / "a.csv").write_text("\n".join(lines))
    given = {"layout": layout} if joints == "number" else {}
    report, _, arrays = made("csv", tmp_path / "a.csv", tmp_path / "out", unit="mm", y_down=True, **given)
    np.testing.assert_allclose(arrays["a"][0], ours, atol=1e-5)
    assert (report["layout"], report["changes"][:12]) == ("kinect_v1_20", "mm to metres")


def test_rows_of_csv_without_a_layout_ask_for_one(tmp_path):
    (tmp_path / "a.csv").write_text("frame,joint,x,y\n0,tail,1,2\n")
    with pytest.raises(UserError, match="--layout: expected the layout of the joints"):
        import_form("csv", tmp_path / "a.csv", tmp_path / "out")
    (tmp_path / "a.csv").write_text("frame,joint,x,y\n0,4,1,2\n")
    with pytest.raises(UserError, match=r"--layout: .* got none for 5 joints"):
        import_form("csv", tmp_path / "a.csv", tmp_path / "out")


HOSTILE = {
    "coco": ["3", "[3]", "{}", "[]", '[{"keypoints": [1, 2]}]', '[{"frame_id": 0, "instances": 3}]'],
    "csv": [
        "",
        "frame,joint,x\n1,2,3\n",
        "frame,joint,x,y\n",
        "frame,joint,x,y\n1,0,a,2\n",
        "frame,joint,x,y\n-1,0,1,2\n",
        "frame,joint,x,y\n0,999999999,1,2\n",
        "frame,joint,x,y\n0,0,1,2\n999999999999,0,1,2\n",
        "frame,joint,x,y\n0,0,1,2\n0,0,1,2\n",
        "frame,joint,x,y\n0,tail,1,2\n",
        "\0\0",
        'frame,joint,x,y\n"0,0,1,2\n',
    ],
    "mediapipe": ["", "[", "[" * 10**5, "[]", "{}", "[[]]", "[1]", '[{"x": 1}]', '{"landmarks": {"frames": 3}}'],
    "openpose": ["[]", "{}", '{"people": 3}', '{"people": [3]}', '{"people": [{"pose_keypoints_2d": [1, "a", 2]}]}'],
    "azure-kinect": ["[]", '{"frames": [1]}', '{"frames": [{"bodies": [{"joint_positions": [[1, 2]]}]}]}'],
}


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, texts in HOSTILE.items() for text in texts])
def test_hostile_files_are_told_in_one_line_and_stop_no_other(form, text, tmp_path, capsys):
    path = tmp_path / (
        "bad_000000000000_keypoints.json" if form == "openpose" else "bad.csv" if form == "csv" else "bad.json"
    )
    path.write_text(text)
    with pytest.raises(UserError, match="expected a recording that can be read"):
        import_form(form, path, tmp_path / "out", Options(layout=LAYOUTS["coco_17"]))
    assert capsys.readouterr().err.count("\n") == 1


RECORDINGS = Path(os.environ.get("DANET_RECORDINGS", "/none"))


@pytest.mark.skipif(not (RECORDINGS / "mediapipe_signs").is_dir(), reason="needs $DANET_RECORDINGS")
def test_real_signs_of_mediapipe_become_own_data(tmp_path):
    for path in sorted((RECORDINGS / "mediapipe_signs/clips").glob("*_[0-4].npy")):
        folder = tmp_path / "in" / path.stem.rpartition("_")[0]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / path.name, np.load(path) * [1, -1, 1])
    report, _, arrays = made("mediapipe", tmp_path / "in", tmp_path / "out")
    assert (report["recordings"], len(report["labels"]), report["unreadable"]) == (15, 3, 0)
    np.testing.assert_allclose(
        arrays["hello_hello_0"][0], np.load(RECORDINGS / "mediapipe_signs/clips/hello_0.npy"), atol=1e-6
    )
    assert check_folder(own_data(tmp_path / "out"), tmp_path / "out", jobs=1)["damaged"] == []


@pytest.mark.skipif(not (RECORDINGS / "azure_kinect_4views").is_dir(), reason="needs $DANET_RECORDINGS")
@pytest.mark.skipif("azure_kinect_32" not in LAYOUTS, reason="needs the layout")
def test_real_walk_before_azure_kinects_raises_no_doubt(tmp_path):
    table = ["path,label,view"]
    for path in sorted((RECORDINGS / "azure_kinect_4views").glob("*.npy")):
        camera_axes = np.load(path) * [-1, 1, 1]  # there y alone was turned
        for label in ("walk", "run"):  # own data takes two labels
            (tmp_path / "in" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / label / f"{path.stem}.json").write_text(azure(camera_axes))
            table.append(f"{label}/{path.stem}.json,{label},{path.stem}")
    (tmp_path / "labels.csv").write_text("\n".join(table))
    labels = read_labels(tmp_path / "labels.csv")
    report, _, _ = made("azure-kinect", tmp_path / "in", tmp_path / "out", labels=labels)
    assert report["recordings"] == 8
    checked = check_folder(own_data(tmp_path / "out"), tmp_path / "out", jobs=1)
    assert (checked["damaged"], checked["doubts"]["lines"]) == ([], [])


def test_the_command_prints_one_object_and_ends_with_2_where_a_file_cannot_be_read(tmp_path, capsys):
    write_set(tmp_path / "in", each=1)
    arguments = ["import", "mediapipe", str(tmp_path / "in"), "--out"]
    assert app([*arguments, str(tmp_path / "a")], standalone_mode=False) in (None, 0)
    assert json.loads(capsys.readouterr().out)["labels"] == {"sit": 1, "wave": 1}
    (tmp_path / "in/wave/bad.npy").write_bytes(b"no")
    assert app([*arguments, str(tmp_path / "b")], standalone_mode=False) == 2
    out, err = capsys.readouterr()
    assert (json.loads(out)["recordings"], json.loads(out)["unreadable"]) == (2, 1)
    assert err.count("bad.npy: expected a NumPy file of numbers, got another or a damaged one") == 1
