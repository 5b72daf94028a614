"""The doors by which files come in: of each format sound files, what damages them best, and what reads them."""

import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import fuzz_formats as formats
import fuzz_mutators as mutators
import numpy as np
import yaml
from scipy.io import savemat

from danet.config.settings import Prepare, read_config
from danet.datasets.custom import LAYOUT, TABLE, own_data
from danet.datasets.readers.mat5 import LARGEST_BYTES
from danet.inference.predictor import Predictor
from danet.inference.recordings import prepared, read_bodies
from danet.io.store import open_records, write_records
from danet.pipeline.runs import requested_runs
from danet.skeleton.layout import KINECT_V1, LAYOUTS, SHIPPED, find_layout, read_layout
from danet.skeleton.recording import Sequence

ROOT = Path(__file__).parents[1]
MEGABYTE = 1_000_000
FIRST, SECOND = 72057594037931101, 72057594037931103


@dataclass(frozen=True)
class Door:
    """One format. `folder` says that what lies beside the file belongs to it, `memory` what reading may take."""

    name: str
    seeds: Callable[[Path, np.random.Generator], list[bytes]]
    read: Callable[[Path], object]
    mutators: list = field(default_factory=list)
    folder: bool = False
    memory: int = 4 * MEGABYTE


def read_recording(path: Path) -> None:
    """Reads a raw recording as `danet predict` does; what is accepted must be sound."""
    bodies, layout = read_bodies(path)
    rows = len(bodies.frame)
    assert bodies.frame.shape == bodies.body.shape == (rows,)
    assert bodies.joints.shape == (rows, layout.size, 3)
    assert (bodies.frame.dtype, bodies.body.dtype, bodies.joints.dtype) == (np.int32, np.int64, np.float32)
    assert np.isfinite(bodies.joints).all()
    assert bodies.frame[0] >= 0
    assert bodies.frame[-1] < bodies.frames
    assert (np.diff(bodies.frame) >= 0).all()
    prepared(bodies, Prepare(), layout)


def read_skeleton(path: Path) -> None:
    """What the compiled scanner accepts must follow the grammar, line by line, with the numbers that Python reads."""
    read_recording(path)
    bodies, _ = read_bodies(path)
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    remaining = iter([fields for line in lines if (fields := re.split(rb"[ \t\r]+", line.strip(b" \t\r"))) != [b""]])
    frames = int(next(remaining)[0])
    sightings, joints = [], []
    for frame in range(frames):
        for _ in range(int(next(remaining)[0])):
            sightings.append((frame, signed(int(next(remaining)[0]))))
            assert int(next(remaining)[0]) == 25
            joints.append([[number(text) for text in next(remaining)[:3]] for _ in range(25)])
    assert next(remaining, None) is None
    assert bodies.frames == frames
    assert list(zip(bodies.frame, bodies.body, strict=True)) == sightings
    with np.errstate(over="ignore"):
        places = np.array(joints, np.float64).reshape(-1, 25, 3).astype(np.float32)
    places[~np.isfinite(places).all(axis=2)] = 0  # not seen
    assert np.array_equal(bodies.joints, places)


def number(text: bytes) -> float:
    """A coordinate as Python reads it; NaN where no number stands."""
    return np.nan if b"#" in text else float(text)


def signed(number: int) -> int:
    """An integer of 64 bits with a sign, of the same bits."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def skeleton_seeds(_, rng):
    """Tiny files of all kinds: bodies come, go and return; ends, marks and number forms differ."""
    from conftest import kinect_text  # with which torch comes, which takes seconds to import

    def pose(digits=7):
        return rng.normal(0, 1, (25, 3)).round(digits)

    plain = kinect_text([[(FIRST, pose())], [(FIRST, pose()), (SECOND, pose())]])
    return [
        plain,
        plain.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + kinect_text([[], [(SECOND, pose(2))], []]).rstrip(b"\n"),
        kinect_text([[(FIRST, pose() * 1e-6)], [(SECOND, pose(17))]]),
        b"3\n0\n0\n0\n",
        kinect_text([[(FIRST + i, pose(4)) for i in range(3)]]),
    ]


def uestc_seeds(_, rng):
    joints = rng.normal(size=(2, 25, 3)).round(6)
    frames = [[f"{x} {y} {z} 0\n1 2 1\n3 4 2" for x, y, z in frame] for frame in joints.tolist()]
    text = "".join("#\n" + "\n".join(frame) + "\n" for frame in frames).encode()
    return [text, text.replace(b"\n", b"\r\n"), text[: len(text) * 2 // 3]]


def mat_seeds(_, rng):
    def mat(compressed=False, **arrays):
        file = io.BytesIO()
        savemat(file, arrays, do_compression=compressed)
        return file.getvalue()

    joints = rng.normal(size=(3, 75))
    return [
        mat(v=joints.astype(np.float32)),
        mat(skel=joints.reshape(3, 25, 3)),
        mat(compressed=True, v=joints),
        mat(v=joints, note="text", more=np.array([[1, "a"]], object), sub={"a": 1}),
        mat(d_skel=rng.normal(size=(20, 3, 3))),
    ]


def nw_ucla_seeds(_, rng):
    joints = rng.normal(size=(2, 20, 3)).round(4)
    joints[1] = 0
    content = json.dumps({"file_name": "a", "skeletons": joints.tolist(), "label": 1}).encode()
    return [content, content.replace(b" ", b"\n"), content.decode().encode("utf-16")]


def as_npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npy_seeds(_, rng):
    joints = rng.normal(size=(2, 3, 33, 3))
    arrays = (joints, joints[0].astype(np.float32), np.asfortranarray(joints[0]), joints[:, :, :20].astype(">f8"))
    return list(map(as_npy, arrays))


def centred_seeds(folder, rng):
    def content(samples, about):
        records = [
            Sequence(f"a{index}", rng.normal(size=(3, 1 + index % 2, 25, 3)).astype(np.float32), index).to_record()
            for index in range(samples)
        ]
        write_records(folder / "seed.h5", "centred", records, about)
        return (folder / "seed.h5").read_bytes()

    about = {"dataset": "demo", "layout": "kinect_v2_25", "simulated": True, "prepare": Prepare().model_dump()}
    return [content(3, about), content(0, about), content(2, about | {"layout": KINECT_V1.definition})]


def read_centred(path):
    with open_records(path, "centred") as records:
        for record in records:
            Sequence.from_record(record)
        records.verify()


ABOUT = {
    "model": {"name": "danet", "width": 8, "blocks": 1, "heads": 2, "patch_frames": 2, "segments": 2},
    "clips": {"frames": 4},
    "layout": "kinect_v2_25",
    "actions": ["a", "b", "c"],
    "dataset": "demo",
    "prepare": {"timing": "observed"},
    "unknown_below": 0.5,
}


def weights_seeds(folder, _):
    from danet.models.weights import build_model, describe, save_weights  # as above

    contents = []
    for changes in ({}, {"layout": LAYOUTS["coco_17"].definition, "clips": {"frames": 4, "test_crops": [1, 0.5]}}):
        model = build_model(ABOUT | changes)
        save_weights(folder / "seed.safetensors", model.state_dict(), ABOUT | changes | describe(model))
        contents.append((folder / "seed.safetensors").read_bytes())
    return contents


def onnx_seeds(folder, rng):
    from danet.inference.export_onnx import export_onnx

    (folder / "seed.safetensors").write_bytes(weights_seeds(folder, rng)[0])
    export_onnx(folder / "seed.safetensors", folder / "seed.onnx")
    return [(folder / "seed.onnx").read_bytes()]


@cache
def walk(joints: int) -> Sequence:
    return Sequence("walk", np.random.default_rng(0).normal(size=(9, 1, joints, 3)).cumsum(0).astype(np.float32))


def read_network(path):
    predictor = Predictor(path)
    scores = predictor.scores(walk(predictor.layout.size))
    assert len(predictor.named(scores, 5)) == min(len(scores), 5)
    assert np.isfinite(scores).all()


def samples_seeds(folder, rng):
    for name in "ab":
        np.save(folder / f"{name}.npy", np.ones((3, 20, 3), np.float32))
    (folder / "folder.npy").mkdir()
    os.mkfifo(folder / "pipe.npy")
    os.symlink("/dev/zero", folder / "zero.npy")
    os.symlink("loop.npy", folder / "loop.npy")
    with open(folder / "sparse.npy", "wb") as sparse:
        sparse.truncate(1 << 40)
    plain = b"path,label,subject,view\na.npy,wave,1,left\nb.npy,sit,2,right\n"
    return [
        plain,
        b'\xef\xbb\xbfview,path,label,subject,split\r\n1,a.npy,"wave, ""both""",Ada,train\r\n2,./b.npy,sit,Bo,test\r\n',
    ]


def read_samples(path):
    dataset = own_data(path.parent)
    for name, _ in dataset.files():
        dataset.sample(name)


def layout_seeds(*_):
    contents = [(ROOT / "danet/skeleton/layouts" / f"{name}.yaml").read_bytes() for name in SHIPPED]
    joints = [f"j{index}" for index in range(4)]
    tiny = {"name": "tiny", "joints": joints, "parents": {"j1": "j0", "j2": "j0", "j3": "j0"}, "parts": {"all": joints}}
    return [
        *contents,
        yaml.safe_dump(tiny | {"mirror": [["j1", "j2"]], "origin": "j0", "across": [["j1", "j2"]]}).encode(),
    ]


def use_layout(path):
    layout = read_layout(path)
    assert find_layout(json.loads(json.dumps(layout.definition))) == layout
    assert len(layout.bones) == len(layout.mirrored) - 1 == len(layout.part_of) - 1
    assert set(layout.landmarks) <= set(range(layout.size))


def config_seeds(*_):
    shipped = yaml.safe_load((ROOT / "config/config.yaml").read_bytes())
    small = {"runs": ["demo/cross_view"], "seeds": [0, 1], "methods": {"danet": {}, "short": {"train": {"epochs": 8}}}}
    return [
        (ROOT / "config/config.yaml").read_bytes(),
        yaml.safe_dump(shipped | small).encode(),
        yaml.safe_dump(small).encode(),
    ]


def use_config(path):
    requested_runs(read_config(path))


YAML = [mutators.yaml_values, mutators.yaml_values, formats.yaml_oddities, *mutators.TEXT]
DOORS = {
    "a.skeleton": Door("a.skeleton", skeleton_seeds, read_skeleton, [*mutators.TEXT, mutators.counts]),
    "a.txt": Door("a.txt", uestc_seeds, read_recording, mutators.TEXT),
    "a.mat": Door("a.mat", mat_seeds, read_recording, [formats.mat_matrix], memory=4 * LARGEST_BYTES),
    "a.json": Door("a.json", nw_ucla_seeds, read_recording, [mutators.json_values, *mutators.TEXT]),
    "a.npy": Door("a.npy", npy_seeds, read_recording, [formats.npy_header]),
    "centred.h5": Door("centred.h5", centred_seeds, read_centred, [formats.h5_objects]),
    "a.safetensors": Door("a.safetensors", weights_seeds, read_network, [formats.safetensors_header]),
    "a.onnx": Door("a.onnx", onnx_seeds, read_network, [formats.onnx_messages]),
    TABLE: Door(TABLE, samples_seeds, read_samples, [mutators.csv_fields, *mutators.TEXT], folder=True),
    LAYOUT: Door(LAYOUT, layout_seeds, use_layout, YAML),
    "config.yaml": Door("config.yaml", config_seeds, use_config, YAML),
}
