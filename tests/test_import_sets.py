"""Own data made of files that hold a whole set with its split: pickles of pyskl, padded rows of CTR-GCN and SGN."""

import os
import pickle
from collections import Counter

import h5py
import numpy as np
import pytest
from made_imports import made, write_set

from danet.config.settings import Prepare
from danet.datasets.custom import own_data
from danet.datasets.registry import find_dataset
from danet.errors import UserError
from danet.importing.forms import import_form
from danet.importing.found import Options
from danet.io.store import open_records
from danet.preparation.chain import prepare
from danet.preparation.check import check_folder
from danet.preparation.peer_formats import export_ctr_gcn, export_sgn
from danet.skeleton.layout import LAYOUTS


def pickled_set(rng, width=3, joints=25):
    """A set as pyskl pickles it."""
    annotations = [
        {
            "frame_dir": f"S001C00{1 + index % 3}P00{1 + index // 3}R001A00{1 + index % 2}",
            "label": index % 2,
            "total_frames": 6,
            "img_shape": (1080, 1920),
            "keypoint": rng.normal(0, 1, (1, 6, joints, width)).astype(np.float16),
            **({"keypoint_score": np.full((1, 6, joints), 0.9, np.float16)} if width == 2 else {}),
        }
        for index in range(6)
    ]
    names = [item["frame_dir"] for item in annotations]
    split = {"xsub_train": names[:3], "xsub_val": names[3:], "xview_train": names[:2], "xview_val": names[2:4]}
    return {"split": split, "annotations": annotations}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_pickle_of_pyskl_with_its_splits_and_labels(protocol, tmp_path, capsys):
    value = pickled_set(np.random.default_rng(0))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value, protocol=protocol))
    report, lines, arrays = made("pyskl", tmp_path / "a.pkl", tmp_path / "out", split="xview")
    first, actions = value["annotations"][0], find_dataset("ntu60").actions
    assert lines[1] == f"recordings/{first['frame_dir']}.npy,{actions[0]},1,1,train"
    assert [line.rpartition(",")[2] for line in lines[1:]] == ["train", "train", "test", "test"]
    np.testing.assert_array_equal(arrays[first["frame_dir"]], first["keypoint"].astype(np.float32))
    assert (report["layout"], report["recordings"]) == ("kinect_v2_25", 4)
    assert "split xview of xsub, xview" in capsys.readouterr().err
    assert check_folder(own_data(tmp_path / "out"), tmp_path / "out", jobs=1)["damaged"] == []


def test_a_pickle_of_key_points_is_flat_and_low_scores_were_not_seen(tmp_path):
    value = pickled_set(np.random.default_rng(0), 2, 17)
    item = value["annotations"][0] | {"frame_dir": "a/b", "label": 3}
    item["keypoint_score"][0, 2, 5] = 0.1
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([item]))
    _, lines, arrays = made("pyskl", tmp_path / "a.pkl", tmp_path / "out")
    expected = item["keypoint"].astype(np.float32) * np.float32([1, -1])
    expected[0, 2, 5] = 0
    np.testing.assert_array_equal(arrays["a_b"][..., :2], expected)
    assert lines[1].startswith("recordings/a_b.npy,action 3,")
    (tmp_path / "b.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match="--split"):
        import_form("pyskl", tmp_path / "b.pkl", tmp_path / "other", Options(split="none"))


class Evil:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


CALLS = {
    "os.system": lambda mark: Evil(os.system, f"touch {mark}"),
    "eval": lambda mark: Evil(eval, f"open({str(mark)!r}, 'w')"),
    "numpy.load": lambda mark: Evil(np.load, str(mark)),
    "numpy.save": lambda mark: Evil(np.save, str(mark), 1),
    "numpy.ndarray": lambda mark: Evil(np.ndarray, (10**12,)),
    "nested": lambda mark: {"annotations": [{"frame_dir": Evil(str, Evil(os.system, f"touch {mark}"))}]},
    "getattr": lambda mark: Evil(getattr, Evil(__import__, "os"), "system"),
    "open": lambda mark: Evil(open, str(mark), "w"),
    "objects": lambda mark: np.array([Evil(open, str(mark), "w")], object),
    "a class": lambda mark: Options(),
    "tuples as keys": lambda mark: {((),): 1},
    "long number": lambda mark: {"annotations": [{"label": 10**40}]},
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_is_refused_and_nothing_runs(name, protocol, tmp_path, capsys):
    mark = tmp_path / "mark.npy"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(CALLS[name](mark), protocol=protocol))
    with pytest.raises(UserError, match="expected a recording that can be read"):
        import_form("pyskl", tmp_path / "a.pkl", tmp_path / "out")
    assert capsys.readouterr().err.count("expected a pickle of arrays and plain values, got") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pkl"]


ARRAY = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    b"(I1\n(I%d\ntcnumpy\ndtype\n(S'f4'\ntRI00\nC\x04abcdtb"
)
BYTES = {
    "empty": b"",
    "no end": b"]",
    "short": b"\x80\x04X\xff\xff\xff\xff",
    "memo": b"]r\xff\xff\xff\xff.",
    "memo by text": b"]p" + b"9" * 40 + b"\n.",
    "a huge text": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
    "a huge array of bytes": b"\x80\x05\x96" + b"\xff" * 6 + b"\x00\x00.",
    "an array larger than its bytes": ARRAY % 10**12 + b".",
    "extension": b"\x80\x02\x82\x01.",
    "persistent": b"Pid\n.",
    "new object": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "state of a name": b"\x80\x02cnumpy\nndarray\n}b.",
    "instance": b"(icollections\nOrderedDict\n.",
    "texts as bytes": b"\x80\x02c_codecs\nencode\nq\x00X\x64\x00\x00\x00"
    + b"a" * 100
    + b"q\x01"
    + b"0"
    + b"h\x00h\x01\x85R" * 50
    + b".",
    "nothing on the stack": b"a.",
    "wrong mark": b"t.",
    "dtype of fields": b"\x80\x02cnumpy\ndtype\n](X\x01\x00\x00\x00aX\x02\x00\x00\x00f4\x86e\x85R.",
    "dictionary of pairs": b"\x80\x02ccollections\nOrderedDict\n]\x85R.",
    "deep": b"]" * 10**5 + b"a" * (10**5 - 1) + b".",
    "itself": b"]q\x00h\x00a.",
}


@pytest.mark.parametrize("name", BYTES)
def test_a_damaged_or_hostile_pickle_is_one_line(name, tmp_path, capsys):
    (tmp_path / "a.pkl").write_bytes(BYTES[name])
    with pytest.raises(UserError, match=r"expected (a recording that can be read|'annotations')"):
        import_form("pyskl", tmp_path / "a.pkl", tmp_path / "out")
    assert capsys.readouterr().err.count("\n") <= 1


def test_one_array_under_many_names_fills_no_disk(tmp_path):
    item = pickled_set(np.random.default_rng(0))["annotations"][0]
    value = [item | {"frame_dir": f"name {index}"} for index in range(50)]
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match="each array once"):
        import_form("pyskl", tmp_path / "a.pkl", tmp_path / "out")


def padded(rng, rows, actions=3, joints=25):
    """(N, T, 2 V 3) with zeros after the end, as CTR-GCN has them, and one-hot labels."""
    x = np.zeros((rows, 9, 6 * joints), np.float32)
    for index, row in enumerate(x):
        row[: 4 + index, : 3 * joints] = rng.normal(0, 1, (4 + index, 3 * joints))
    x[1, :3, 3 * joints :] = 1
    x[2, :, 3 * joints :] = x[2, :, : 3 * joints]
    return x, np.eye(actions)[np.arange(rows) % actions]


@pytest.mark.parametrize("form", ["npz", "h5"])
def test_padded_rows_of_ctr_gcn_and_sgn_with_their_parts(form, tmp_path):
    rng = np.random.default_rng(0)
    parts = {part: padded(rng, 3, 60) for part in ("train", "valid", "test")}
    if form == "npz":
        arrays = {
            f"{key}_{part}": value for part in ("train", "test") for key, value in zip("xy", parts[part], strict=True)
        }
        np.savez(tmp_path / "a.npz", **arrays)
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for prefix, part in (("", "train"), ("valid_", "valid"), ("test_", "test")):
                file[f"{prefix}x"], file[f"{prefix}y"] = parts[part]
    report, lines, arrays = made("ctr-gcn", tmp_path / f"a.{form}", tmp_path / "out")
    expected = ["train"] * 3 + ["validation"] * 3 * (form == "h5") + ["test"] * 3
    assert [line.rpartition(",")[2] for line in lines[1:]] == expected
    assert list(report["labels"]) == sorted(find_dataset("ntu60").actions[:3])
    x = parts["train"][0]
    assert [arrays[f"a_train_00000{index}"].shape for index in range(3)] == [
        (1, 4, 25, 3),
        (2, 5, 25, 3),
        (1, 6, 25, 3),
    ]
    np.testing.assert_array_equal(arrays["a_train_000001"], x[1, :5].reshape(5, 2, 25, 3).swapaxes(0, 1))
    assert list(own_data(tmp_path / "out").protocols) == ["own_split"]


def test_padded_rows_that_are_compressed_linked_or_larger_than_the_file_are_told(tmp_path, capsys):
    x, y = padded(np.random.default_rng(0), 3)
    np.savez_compressed(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["x"] = h5py.ExternalLink("c.h5", "x")
        file["y"] = y
    with h5py.File(tmp_path / "c.h5", "w") as file:
        file.create_dataset("x", (10**9, 9, 150), np.float32)
        file["y"] = y
    (tmp_path / "d.npz").write_bytes(b"PK no")
    np.savez(tmp_path / "e.npz", x_train=x)
    np.savez(tmp_path / "f.npz", x_train=x[:, :, :7], y_train=y, x_test=x, y_test=y)
    with pytest.raises(UserError, match="expected a recording that can be read"):
        import_form("ctr-gcn", tmp_path, tmp_path / "out")
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].rpartition("/")[2] for line in told] == [
        f"{n}.{s}" for n, s in zip("abcdef", ("npz", "h5", "h5", "npz", "npz", "npz"), strict=True)
    ]


def test_what_export_writes_is_taken_back(tmp_path):
    write_set(tmp_path / "in")
    import_form("mediapipe", tmp_path / "in", tmp_path / "own")
    dataset = own_data(tmp_path / "own")
    prepare(dataset, tmp_path / "own", tmp_path / "own.h5", settings=Prepare(drop_copies=False), jobs=1)
    export_ctr_gcn(tmp_path / "own.h5", "repetitions", tmp_path / "own.npz", tmp_path / "own")
    export_sgn(tmp_path / "own.h5", "repetitions", tmp_path / "sgn.h5", tmp_path / "own")
    for name, parts in (("own.npz", {"train": 8, "test": 2}), ("sgn.h5", {"train": 7, "validation": 1, "test": 2})):
        out = tmp_path / f"out of {name}"
        _, lines, arrays = made("ctr-gcn", tmp_path / name, out, layout=LAYOUTS["mediapipe_33"])
        assert Counter(line.rpartition(",")[2] for line in lines[1:]) == parts
        with open_records(tmp_path / "own.h5", "centred") as records:
            first = next(iter(records)).rows["joints"]
        np.testing.assert_array_equal(next(iter(arrays.values()))[0], first)
