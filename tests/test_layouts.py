"""The layouts that ship: each a person, drawn as one; which of them a file has; joints matched by their names."""

import io
import json
from itertools import product

import numpy as np
import pytest
import yaml
from PIL import Image

from danet.cli import check_command, draw_command, predict_command, stream_command
from danet.config.settings import Prepare
from danet.datasets.custom import own_data
from danet.errors import UserError
from danet.inference.predictor import load
from danet.inference.recordings import joints_taken, read_bodies
from danet.models.weights import build_model, describe, save_weights
from danet.skeleton.doubts import doubts_of
from danet.skeleton.layout import KINECT_V1, KINECT_V2, LAYOUTS, layout_by_size, make_layout
from danet.skeleton.names import SYNONYMS, filled, matching, normal_form, place
from danet.skeleton.recording import Bodies

every_layout = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))

# Where a standing person of 1.75 m has the joints: metres to the left and above the ground, as the person knows left.
HEIGHTS = {
    "pelvis": (0, 0.95),
    "spine mid": (0, 1.15),
    "shoulder center": (0, 1.42),
    "neck": (0, 1.48),
    "head": (0, 1.65),
    "eye": (0.03, 1.68),
    "ear": (0.07, 1.66),
    "mouth": (0.02, 1.6),
    "clavicle": (0.08, 1.42),
    "shoulder": (0.18, 1.4),
    "elbow": (0.24, 1.12),
    "hand": (0.26, 0.86),
    "hand tip": (0.26, 0.7),
    "thumb": (0.22, 0.78),
    "index finger": (0.25, 0.73),
    "little finger": (0.28, 0.75),
    "hip": (0.1, 0.92),
    "knee": (0.11, 0.5),
    "foot": (0.12, 0.03),
    "heel": (0.12, 0.02),
    "small toe": (0.15, 0.02),
    "wrist": (0.25, 0.9),
    "ankle": (0.12, 0.08),
    "nose": (0, 1.63),
}


def standing(layout):
    """(20, V, 3): the person, two metres in front of the camera and facing it, so that the left is at the smaller x."""
    joints = np.zeros((layout.size, 3), np.float32)
    for joint, name in enumerate(layout.joints):
        side, first, _ = place(name)
        rest = " ".join(word for word in name.split() if word not in ("left", "right", "inner", "outer"))
        out, height = HEIGHTS.get(rest) or HEIGHTS[first]
        ahead = 0.15 if first == "foot" and "ankle" not in name else 0.1 if rest in ("nose", "eye", "mouth") else 0
        joints[joint] = {("left",): -out, ("right",): out}.get(side, 0), height - 1, 2 - ahead
    return np.tile(joints, (20, 1, 1))


@every_layout
def test_layout_is_a_tree_with_sides_and_parts(layout):
    assert make_layout(layout.definition, "again") == layout
    assert layout.described == layout.name
    assert len(layout.bones) == layout.size - 1
    assert (layout.hops < layout.size).all(), "the body hangs together"
    for left, right in layout.mirror:
        assert layout.joints[left].startswith("left ")
        assert layout.joints[right] == layout.joints[left].replace("left", "right", 1)
        assert layout.mirrored[layout.parents[left]] == layout.parents[right], "both sides hang alike"
    assert all(layout.joints[left].startswith("left") for left, _ in layout.across)
    paired = {layout.joints[joint] for pair in layout.mirror for joint in pair}
    assert paired == {name for name in layout.joints if name.startswith(("left ", "right "))}
    assert sorted(joint for members in layout.parts.values() for joint in members) == list(range(layout.size))
    arms_and_legs = [f"{side} {limb}" for limb in ("arm", "leg") for side in ("left", "right")]
    assert sorted(list(layout.parts)[1:]) == sorted(arms_and_legs)
    assert layout.size == int(layout.name.rpartition("_")[2])


@every_layout
def test_draw_shows_a_person_that_raises_no_doubt(layout, tmp_path, capsys):
    np.save(tmp_path / "a.npy", standing(layout))
    assert doubts_of(read_bodies(tmp_path / "a.npy", layout)[0], layout) == []
    draw_command(tmp_path / "a.npy", tmp_path / "a.png", layout=layout.name)
    assert '"kept": 1' in capsys.readouterr().out
    dark = np.asarray(Image.open(tmp_path / "a.png").convert("L")) < 200
    body = dark[:, : dark.shape[1] // 8]  # of the first of eight frames, below its title
    rows = np.flatnonzero(body.any(axis=1))
    below_title = rows[np.flatnonzero(np.diff(rows) > 1).max() + 1 :]
    across = np.flatnonzero(body[below_title].any(axis=0))
    assert 2 < len(below_title) / np.ptp(across) < 5, "higher than wide, in one piece"


@every_layout
def test_person_with_joints_in_another_order_is_doubted(layout):
    mixed = standing(layout)[:, np.random.default_rng(0).permutation(layout.size)]
    numbers = np.arange(20, dtype=np.int32)
    assert "order" in doubts_of(Bodies("a", 20, numbers, np.zeros(20, np.int64), mixed), layout)


@pytest.mark.parametrize(
    ("size", "names"),
    [(25, "kinect_v2_25 or openpose_25"), (17, "coco_17 or h36m_17"), (15, "nite_15 or openni_15")],
)
def test_array_of_several_layouts_is_refused_until_one_is_said(size, names, tmp_path, capsys):
    file = tmp_path / "a.npy"
    np.save(file, np.ones((3, size, 3), np.float32))
    with pytest.raises(UserError, match=rf"a\.npy: expected --layout to say {names}, got {size} joints$"):
        draw_command(file, tmp_path / "a.png")
    for name in names.split(" or "):
        assert read_bodies(file, LAYOUTS[name])[1] is LAYOUTS[name]


@pytest.mark.parametrize("size", [20, 32, 33, 18])
def test_array_of_one_layout_is_taken_for_it_and_told(size, tmp_path, caplog):
    np.save(tmp_path / "a.npy", np.ones((3, size, 3), np.float32))
    assert read_bodies(tmp_path / "a.npy")[1] is layout_by_size(size, "", "")
    assert f"guessed from {size} joints" in caplog.text


def test_format_of_a_file_says_its_layout(tmp_path, good):
    file = tmp_path / "a.skeleton"
    file.write_bytes(next(iter(good.values())))
    assert read_bodies(file)[1] is KINECT_V2
    with pytest.raises(UserError, match=r"expected the joints of openpose_25 \(25\), got those of kinect_v2_25"):
        read_bodies(file, LAYOUTS["openpose_25"])


TABLE = "path,label,subject,view,layout\n"


@pytest.fixture
def own(tmp_path):
    """Writes a table of two recordings, of 25 joints, and reads it."""
    for name in "ab":
        np.save(tmp_path / f"{name}.npy", standing(LAYOUTS["openpose_25"]))

    def read(text):
        (tmp_path / "samples.csv").write_text(text)
        return own_data(tmp_path)

    return read


@pytest.mark.parametrize("second", ["openpose_25", ""])
def test_table_of_own_data_names_the_layout(own, second):
    dataset = own(f"{TABLE}a.npy,wave,1,1,openpose_25\nb.npy,sit,2,1,{second}\n")
    assert (dataset.layout, dataset.layout_told) == (LAYOUTS["openpose_25"], "openpose_25")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "a.npy,wave,1,1,openpose_25\nb.npy,sit,2,1,coco_17\n",
            "line 3, .* expected 'openpose_25', as in line 2",
        ),
        ("a.npy,wave,1,1,\nb.npy,sit,2,1,openpose\n", "line 3, column layout: expected one of the layouts .*, got "),
        (
            "a.npy,wave,1,1,\nb.npy,sit,2,1,\n",
            "line 2, column path: expected a column layout or .*layout.yaml to say ",
        ),
    ],
)
def test_table_of_own_data_names_the_wrong_layout(own, lines, message):
    with pytest.raises(UserError, match=message):
        own(TABLE + lines)


def test_table_and_file_of_own_data_do_not_both_name_a_layout(own, tmp_path):
    (tmp_path / "layout.yaml").write_text(yaml.safe_dump(LAYOUTS["openpose_25"].definition))
    with pytest.raises(UserError, match=r"line 2, column layout: expected no name beside .*, got 'openpose_25'"):
        own(f"{TABLE}a.npy,wave,1,1,openpose_25\nb.npy,sit,2,1,\n")


def test_check_command_takes_a_layout_before_the_table_says_one(own, tmp_path, capsys):
    lines = "path,label,subject,view\na.npy,wave,1,1\nb.npy,sit,2,1\n"
    with pytest.raises(UserError, match="to say kinect_v2_25 or openpose_25"):
        own(lines)
    np.save(tmp_path / "b.npy", 2 + standing(LAYOUTS["openpose_25"]))
    check_command("custom", tmp_path, jobs=1, layout="openpose_25")
    assert "openpose_25" in capsys.readouterr().out
    with pytest.raises(UserError, match="ntu60: expected the joints of kinect_v2_25, got the layout 'openpose_25'"):
        check_command("ntu60", tmp_path, jobs=1, layout="openpose_25")


@pytest.mark.parametrize("name", ["left wrist", "wrist_left", "LEFT_WRIST", "leftWrist", "LWrist", "Wrist-Left"])
def test_normal_form_is_the_same_however_a_name_is_written(name):
    assert normal_form(name) == ("left", "wrist")


def test_synonyms_stand_in_one_group_each():
    names = [normal_form(name) for group in SYNONYMS for name in group]
    assert len(names) == len(set(names))


def pairs(one, other):
    """The joints of `other` that are found in `one`, and what is taken for them."""
    found = enumerate(matching(LAYOUTS[one], LAYOUTS[other]))
    return {LAYOUTS[other].joints[joint]: LAYOUTS[one].joints[taken] for joint, taken in found if taken >= 0}


@every_layout
def test_matching_a_layout_with_itself_changes_nothing(layout):
    np.testing.assert_array_equal(matching(layout, layout), np.arange(layout.size))


def test_matching_takes_no_joint_twice_and_keeps_sides():
    for one, other in product(LAYOUTS, LAYOUTS):
        found = pairs(one, other)
        assert len(set(found.values())) == len(found) > 8
        assert all(place(name)[0] == place(taken)[0] for name, taken in found.items())


def test_matching_knows_synonyms_and_prefers_the_nearest():
    of_azure = pairs("azure_kinect_32", "kinect_v2_25")
    assert len(of_azure) == 25
    assert (of_azure["spine base"], of_azure["spine shoulder"], of_azure["neck"]) == ("pelvis", "spine chest", "neck")
    assert pairs("kinect_v2_25", "kinect_v1_20")["shoulder center"] == "spine shoulder"
    assert pairs("openpose_25", "kinect_v1_20")["shoulder center"] == "neck"
    assert pairs("openpose_25", "kinect_v2_25")["left foot"] == "left big toe"
    of_coco = pairs("coco_17", "kinect_v2_25")
    assert of_coco["left wrist"] == "left wrist"
    assert {"left hand", "left foot", "spine base"}.isdisjoint(of_coco)
    assert pairs("nite_15", "coco_17")["right wrist"] == "right hand"


def test_joints_that_recordings_lack_lie_at_those_before_them_and_are_told(caplog):
    coco = LAYOUTS["coco_17"]
    order = joints_taken(coco, KINECT_V2, "w.safetensors")
    name = dict(zip(KINECT_V2.joints, (coco.joints[joint] for joint in order), strict=True))
    assert name["left hand tip"] == name["left hand"] == name["left wrist"] == "left wrist"
    assert name["head"] == "nose"
    assert "w.safetensors: 12 of 25 joints: not in the recordings: spine base, " in caplog.text
    assert (filled(matching(KINECT_V2, KINECT_V1), KINECT_V1) == matching(KINECT_V2, KINECT_V1)).all()


def test_recordings_with_fewer_than_half_of_the_joints_are_refused():
    message = "w: expected recordings with half of the 33 joints of mediapipe_33, got 13 of them in nite_15"
    with pytest.raises(UserError, match=message):
        joints_taken(LAYOUTS["nite_15"], LAYOUTS["mediapipe_33"], "w")


@pytest.fixture
def weights(tmp_path):
    """A small network of random weights that knows the joints of a Kinect v2."""
    clips, model = {"frames": 8}, {"width": 16, "blocks": 1, "heads": 2}
    about = {"dataset": "demo", "layout": "kinect_v2_25", "actions": ["a", "b"], "model": model, "clips": clips}
    network = build_model(about)
    save_weights(tmp_path / "w.safetensors", network.state_dict(), about | describe(network) | {"prepare": {}})
    return tmp_path / "w.safetensors"


def swaying(layout):
    """(20, V, 3): the standing person, swaying, in the coordinates of the hips."""
    return standing(layout) + np.linspace(0, 0.2, 20, dtype=np.float32)[:, None, None] - [0, 0, 2]


@pytest.mark.parametrize("timing", ["observed", "reference"])
def test_predictor_takes_joints_by_name_from_recordings_of_another_layout(weights, tmp_path, timing):
    azure = LAYOUTS["azure_kinect_32"]
    np.save(tmp_path / "azure.npy", swaying(azure))
    np.save(tmp_path / "kinect.npy", swaying(azure)[:, matching(azure, KINECT_V2)])
    by_name, known = load(weights, azure), load(weights)
    for predictor in (by_name, known):
        predictor.prepare = Prepare(timing=timing)
    taken, expected = by_name.sequence(tmp_path / "azure.npy"), known.sequence(tmp_path / "kinect.npy")
    np.testing.assert_array_equal(taken.joints, expected.joints)
    with pytest.raises(UserError, match=r"expected the joints of kinect_v2_25 \(25\), got 32 joints"):
        known.sequence(tmp_path / "azure.npy")


def test_predictor_puts_joints_that_recordings_lack_where_those_never_found_lie(weights, tmp_path):
    coco = LAYOUTS["coco_17"]
    found = matching(coco, KINECT_V2)
    joints = swaying(coco)[:, found] + np.float32([0, 0, 2])
    np.save(tmp_path / "coco.npy", swaying(coco) + [0, 0, 2])
    np.save(tmp_path / "kinect.npy", np.where((found < 0)[:, None], 0, joints))
    taken, expected = (
        load(weights, coco).sequence(tmp_path / "coco.npy"),
        load(weights).sequence(tmp_path / "kinect.npy"),
    )
    there = [joint for joint in np.flatnonzero(found >= 0) if joint != KINECT_V2.origin]
    shift = (taken.joints - expected.joints)[:, 0]
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0, there[0]], shift.shape), atol=1e-5)


def test_commands_tell_once_which_joints_the_recordings_lack(weights, tmp_path, monkeypatch, capsys, caplog):
    coco = LAYOUTS["coco_17"]
    np.save(tmp_path / "coco.npy", swaying(coco) + [0, 0, 2])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(coco.definition | {"name": "mine"}))
    predict_command(
        weights, [tmp_path / "coco.npy", tmp_path / "coco.npy"], as_json=True, layout=str(tmp_path / "mine.yaml")
    )
    predicted = json.loads(capsys.readouterr().out)[0]["predictions"][0]
    assert caplog.text.count("w.safetensors: 12 of 25 joints: not in the recordings: spine base, spine mid, ") == 1
    lines = [json.dumps({"bodies": [body]}) for body in (swaying(coco) + [0, 0, 2]).astype(np.float32).tolist()]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO("\n".join(lines).encode())))
    stream_command(weights, window=20, every=20, layout="coco_17")
    streamed = json.loads(capsys.readouterr().out)
    assert streamed["action"] == predicted["action"]
    assert streamed["score"] == pytest.approx(predicted["score"], abs=1e-5)
    with pytest.raises(UserError, match="nothing: expected a YAML file of a layout"):
        predict_command(weights, [tmp_path / "coco.npy"], layout="nothing")
