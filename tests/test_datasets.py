"""Names, readers and protocols of the data sets, with the exact counts that the authors' lists give."""

import io
import json
import lzma

import numpy as np
import pytest
import yaml
from scipy.io import savemat

from danet.config.settings import Split
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.readers.any_file import reader
from danet.datasets.readers.nw_ucla import read_nw_ucla
from danet.datasets.readers.uestc import read_uestc
from danet.datasets.readers.utd_mhad import read_utd_mhad
from danet.datasets.registry import DATASETS
from danet.datasets.uestc import UESTC, parse_uestc_name
from danet.datasets.utd_mhad import UTD_MHAD
from danet.errors import BadRecording, UserError
from danet.preparation.check import check_folder
from danet.preparation.manifest import LEFT_OUT, NO_SAMPLE, TWICE, make_manifest
from danet.preparation.split import counts, split

COUNTS = yaml.safe_load("""
ntu60/cross_subject: [40091, 16487]
ntu60/cross_view: [37646, 18932]
ntu120/cross_subject: [63026, 50919]
ntu120/cross_setup: [54468, 59477]
uestc/cross_subject: [9940, 12460]
uestc/cross_view_2/even: [16000, 6400]
uestc/cross_view_2/odd: [6400, 16000]
uestc/arbitrary_view: [22400, 1600]
uestc/cross_view_1/front: [11200, 11200]
uestc/cross_view_1/d4: [1600, 20800]
nw_ucla/cross_view: [1020, 464]
utd_mhad/cross_subject: [431, 430]
""")


ONE_VIEW_TRAINS = ("uestc/cross_view_1/front", "uestc/cross_view_1/d4", "utd_mhad/cross_subject")


def names_of(dataset, recordings):
    if dataset == "nw_ucla":
        return [path.stem for path in (recordings / "all_sqe").iterdir()]
    if dataset == "utd_mhad":
        return [path.stem for path in (recordings / "utd_mhad/Skeleton").iterdir()]
    file = "uestc_names.txt.xz" if dataset == "uestc" else "ntu_names.txt.xz"
    return lzma.open(recordings / file, "rt").read().split()


@pytest.mark.parametrize("run", COUNTS)
@pytest.mark.parametrize("held_out", ["subject", "view"])
def test_split_gives_the_published_counts(recordings, run, held_out):
    dataset, _, protocol = run.partition("/")
    settings = Split(validation_by=held_out)
    if run in ONE_VIEW_TRAINS and held_out == "view":
        with pytest.raises(UserError, match="two or more views"):
            split(DATASETS[dataset], protocol, names_of(dataset, recordings), settings)
        return
    table = split(DATASETS[dataset], protocol, names_of(dataset, recordings), settings)
    samples = counts(table)
    assert [samples["train"] + samples["validation"], samples["test"]] == COUNTS[run]
    assert samples["validation"] > 0
    groups = {
        part: {getattr(DATASETS[dataset].parse_name(name), held_out) for name in rows["name"]}
        for part, rows in table.groupby("part")
    }
    assert not groups["train"] & groups["validation"]


def test_split_leaves_out_training_samples_only(caplog):
    names = [f"a05_s04_e0{execution}_v0{view}" for execution in (0, 1) for view in (1, 2, 3)] + ["a01_s05_e00_v01"]
    settings = Split(leave_out=["a05_*_v02", "*_e01_v03", "a09_*"])
    parts = dict(split(DATASETS["nw_ucla"], "cross_view", names, settings).itertuples(index=False))
    assert parts.keys() == {name for name in names if not name.endswith("v02")}
    assert parts["a05_s04_e01_v03"] == "test"
    assert [record.args[-1] for record in caplog.records] == ["*_e01_v03", "a09_*"]


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
def test_datasets_are_sound(dataset):
    assert len(set(dataset.actions)) == len(dataset.actions)
    assert all(0 <= action < len(dataset.actions) for action in dataset.two_person - set(range(60, 120)))
    assert sorted(joint for part in dataset.layout.parts.values() for joint in part) == list(range(dataset.layout.size))
    assert (dataset.layout.hops < dataset.layout.size).all(), "the body hangs together"
    for name in dataset.left_out:
        assert dataset.parse_name(name) is None or name in dataset.left_out


@pytest.mark.parametrize(
    ("dataset", "stem"),
    [
        ("ntu60", "S018C001P001R001A001"),
        ("ntu60", "S001C001P001R001A061"),
        ("ntu60", "S001C004P001R001A001"),
        ("ntu60", "S001C001P001R001A001_copy"),
        ("ntu120", "S033C001P001R001A001"),
        ("uestc", "a40_d1_p001_c1_skeleton"),
        ("uestc", "a0_d9_p001_c1_skeleton"),
        ("nw_ucla", "a07_s01_e00_v01"),
        ("utd_mhad", "a28_s1_t1_skeleton"),
        ("utd_mhad", "a0_s1_t1_skeleton"),
        ("utd_mhad", "a1_s9_t1_skeleton"),
        ("utd_mhad", "a1_s1_t5_skeleton"),
        ("utd_mhad", "a1_s1_t1_inertial"),
        ("utd_mhad", "a8_s1_t4_skeleton"),
    ],
)
def test_parse_name_refuses_other_names(dataset, stem):
    assert DATASETS[dataset].parse_name(stem) is None


def test_parse_ntu_name_reads_three_digit_actions():
    assert DATASETS["ntu120"].parse_name("S018C001P041R001A101").action == 100


def test_parse_uestc_name_takes_any_padding():
    same = {parse_uestc_name(f"a3_d2_p{person}_c2_skeleton") for person in ("7", "07", "007")}
    assert {sample.name for sample in same} == {"a3_d2_p007_c2"}
    assert parse_uestc_name("a3_d8_p7_c2").view == "varying"


def test_make_manifest_says_why_a_file_is_not_used(tmp_path):
    for name in ("S001C001P001R001A001", "S001C002P006R001A008", "notes", "deep/S001C001P001R001A001"):
        path = tmp_path / f"{name}.skeleton"
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.skeleton").symlink_to(tmp_path / "nowhere")
    table = make_manifest(DATASETS["ntu60"], [tmp_path])
    assert sorted(table["aside"]) == sorted(["", TWICE, LEFT_OUT, NO_SAMPLE, NO_SAMPLE])


def test_read_nw_ucla_reads_one_body():
    joints = np.arange(180.0).reshape(3, 20, 3)
    joints[1] = 0
    bodies = read_nw_ucla("a", "a.json", json.dumps({"skeletons": joints.tolist()}).encode())
    assert (bodies.frames, bodies.frame.tolist()) == (3, [0, 2])
    np.testing.assert_array_equal(bodies.joints, joints[[0, 2]].astype(np.float32))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"skeletons": 3}', b'{"skeletons": []}', b'{"skeletons": [[[1, 2]]]}', b"[" * 100_000]
    + [b"\xff\xfe"],
)
def test_read_nw_ucla_refuses_other_files(content):
    with pytest.raises(BadRecording):
        NW_UCLA.read("a", "a.json", content)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b'{"people": [{"pose_keypoints_2d": []}], "version": 1.3}', "one with 'people', 'version'"),
        (b"{}", "one with nothing"),
        (b"[[1, 2]]", "[[1, 2]]"),
        (b"", "no JSON: Expecting value in line 1, column 1"),
        (b"[" * 100_000, "lists or objects too deep, one inside the other"),
        (b"[" + b"9" * 5000 + b"]", "a number of too many digits"),
        (b"\xff\xfea", "what is no UTF-8"),
    ],
)
def test_read_nw_ucla_says_what_another_file_holds(content, got):
    with pytest.raises(BadRecording) as caught:
        NW_UCLA.read("a", "a.json", content)
    assert str(caught.value) == f"a.json: expected a JSON object with 'skeletons' (NW-UCLA's form), got {got}"


@pytest.mark.parametrize("joint", ["[1, 2]", '"x"', "{}"])
def test_read_nw_ucla_names_no_class_of_python(joint):
    content = '{"skeletons": [[' + "[1, 2, 3], " * 19 + f"[1, 2, {joint}]]]}}"
    with pytest.raises(BadRecording, match=r"got lists of unlike lengths, or what is no number$"):
        NW_UCLA.read("a", "a.json", content.encode())


def uestc_text(joints):
    lines = []
    for frame in joints:
        lines.append("#")
        for x, y, z in frame.tolist():
            lines += [f"{x!r} {y!r} {z!r} 0", "100.5 200.5 1", "50.5 60.5 2"]
    return "\n".join(lines).encode()


def test_read_uestc_reads_text_and_mat_alike(rng, tmp_path):
    joints = rng.normal(size=(6, 25, 3)).astype(np.float32)
    text = read_uestc("a", "a.txt", uestc_text(joints))
    np.testing.assert_allclose(text.joints, joints, atol=1e-6)
    for key, array in (("v", joints.reshape(6, 75)), ("skel", joints), ("other", joints)):
        savemat(tmp_path / "a.mat", {key: array})
        bodies = read_uestc("a", "a.mat", (tmp_path / "a.mat").read_bytes())
        np.testing.assert_allclose(bodies.joints, text.joints, atol=1e-4)


def test_read_uestc_leaves_off_short_last_frame(rng):
    joints = rng.normal(size=(3, 25, 3))
    content = b"\n".join(uestc_text(joints).split(b"\n")[:-4])
    assert read_uestc("a", "a.txt", content).frames == 2


@pytest.mark.parametrize("content", [b"1 2 3\n", b"#\n1 2\n", b"#\n1 2 x 0\n", b"#\n#\n", b"\xff"])
def test_read_uestc_names_the_line_of_an_error(content):
    with pytest.raises(BadRecording) as caught:
        UESTC.read("a", "a.txt", content)
    assert caught.value.line


def test_read_uestc_refuses_other_mat_files(tmp_path):
    savemat(tmp_path / "a.mat", {"one": np.ones((3, 75)), "two": np.ones((3, 75))})
    for content in ((tmp_path / "a.mat").read_bytes(), b"", b"MATLAB 5.0" * 30):
        with pytest.raises(BadRecording):
            UESTC.read("a", "a.mat", content)


UTD_MHAD_JOINTS = (  # in the order of its files
    ["head", "shoulder center", "spine", "hip center"]
    + [f"{side} {joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hand")]
    + [f"{side} {joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle", "foot")]
)


def mat(**arrays):
    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


def test_parse_utd_mhad_name_reads_action_and_subject():
    sample = UTD_MHAD.parse_name("a27_s8_t3_skeleton")
    assert (sample.name, sample.subject, sample.performance) == ("a27_s8_t3", 8, "a27_s8_t3")
    assert UTD_MHAD.actions[sample.action] == "squat"
    assert UTD_MHAD.parse_name(sample.name) == sample


@pytest.mark.parametrize("read", [read_utd_mhad, reader(), reader(UTD_MHAD.layout)])
def test_read_utd_mhad_puts_every_joint_where_the_layout_has_it(rng, read):
    given = rng.normal(size=(20, 3, 5))
    given[..., 2] = 0
    bodies = read("a", "a.mat", mat(d_skel=given))
    assert (bodies.frames, bodies.frame.tolist()) == (5, [0, 1, 3, 4])
    for place, joint in enumerate(UTD_MHAD_JOINTS):
        read_back = bodies.joints[:, UTD_MHAD.layout.joints.index(joint)]
        np.testing.assert_array_equal(read_back, given[place][:, [0, 1, 3, 4]].T.astype(np.float32))
    first = read("a", "a.mat", mat(d_skel=given[..., 0]))  # as MATLAB saves a single frame
    np.testing.assert_array_equal(first.joints, bodies.joints[:1])


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (b"", "no MATLAB 5 header"),
        (mat(v=np.ones((3, 75))), "v (3, 75)"),
        (mat(d_skel=np.ones((25, 3, 7))), "d_skel (25, 3, 7)"),
        (mat(d_skel=np.ones((20, 3, 7, 2))), "d_skel (20, 3, 7, 2)"),
        (mat(d_skel=np.ones((20, 3, 0))), "d_skel (20, 3, 0)"),
        (mat(d_skel="text"), "no array"),
    ],
)
def test_read_utd_mhad_refuses_other_files(content, got):
    with pytest.raises(BadRecording) as caught:
        UTD_MHAD.read("a", "a.mat", content)
    assert caught.value.got == got


def test_any_mat_is_read_as_what_it_holds(rng):
    uestc = mat(skel=rng.normal(size=(3, 25, 3)))
    assert reader()("a", "a.mat", uestc).joints.shape == (3, 25, 3)
    with pytest.raises(BadRecording, match=r"expected the joints of kinect_v1_20 \(20\), got 25 joints"):
        reader(UTD_MHAD.layout)("a", "a.mat", uestc)
    with pytest.raises(BadRecording, match=r"expected an array d_skel of shape \(20, 3, T\), got d_skel \(3, 75\)"):
        reader()("a", "a.mat", mat(d_skel=np.ones((3, 75))))


def test_utd_mhad_as_its_authors_give_it_is_sound(recordings):
    report = check_folder(UTD_MHAD, recordings / "utd_mhad", jobs=1)
    assert (report["sound"], report["doubts"]["lines"]) == (True, [])
    assert (report["counts"]["files"], report["counts"]["found"], report["counts"]["damaged"]) == (861, 861, 0)
    assert not any(report["doubts"]["names"].values())
