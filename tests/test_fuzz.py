"""The readers against tens of thousands of damaged files: a sound recording or BadRecording, soon and in little memory.

Run alone with `pytest tests/test_fuzz.py`. The same files are made each time; FUZZ_SEED=n makes others, and a failure
prints the file's content.
"""

import faulthandler
import gc
import io
import json
import os
import re
import time
import tracemalloc

import numpy as np
import pytest
from conftest import kinect_text
from scipy.io import savemat

from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.datasets.readers.nw_ucla import read_nw_ucla
from danet.datasets.readers.uestc import read_uestc
from danet.errors import BadRecording

SEED = int(os.environ.get("FUZZ_SEED", "1"))
SECONDS = 2.0  # for one file, far beyond the microseconds that it should take: a loop without end fails as well
MEMORY_PER_BYTE = 40  # of the largest file, at the most; on top of what follows
MEMORY = 2_000_000

NUMBERS = [
    b"0",
    b"-1",
    b"25",
    b"24",
    b"1e400",
    b"-1e39",
    b"1e-400",
    b"nan",
    b"inf",
    b"-0",
    b"1e",
    b".",
    b"-",
    b"+",
    b"1_0",
]
NUMBERS += [b"2147483648", b"4294967296", b"9223372036854775807", b"9" * 18, b"9" * 400, b"0." + b"3" * 400, b"1.7e308"]
NUMBERS += [b"0x19", b"1,5", b"--1", b"1.5.2", b"72057594037931101", b"1e22", b"9007199254740993", b"\xd9\xa1", b"1e-5"]
BREAKS = [b" ", b"\t", b"\n", b"\r\n", b"\r", b"\n\n", b"", b"\0", b"\x0b", b"\x0c", b"\x1c", b"\xc2\x85", b"\xc2\xa0"]


def flip(rng, content, _):
    content = bytearray(content)
    for index in rng.integers(len(content), size=rng.integers(1, 4)):
        content[index] ^= 1 << rng.integers(8)
    return bytes(content)


def overwrite(rng, content, _):
    start, length = rng.integers(len(content)), rng.integers(1, 64)
    filling = bytes(length) if rng.random() < 0.3 else rng.bytes(length)
    return content[:start] + filling + content[start + length :]


def insert(rng, content, _):
    at = rng.integers(len(content) + 1)
    return content[:at] + BREAKS[rng.integers(len(BREAKS))] + content[at:]


def delete(rng, content, _):
    start = rng.integers(len(content))
    return content[:start] + content[start + rng.integers(1, 40) :]


def truncate(rng, content, _):
    return content[: rng.integers(len(content) + 1)]


def lines(rng, content, _):
    """Deletes, repeats or swaps lines."""
    parts = content.split(b"\n")
    first, second = rng.integers(len(parts), size=2)
    match rng.integers(4):
        case 0:
            del parts[first]
        case 1:
            parts.insert(second, parts[first])
        case 2:
            parts[first], parts[second] = parts[second], parts[first]
        case _:
            parts[first:first] = parts[first : first + 30]
    return b"\n".join(parts)


def tokens(rng, content, _):
    """Replaces, deletes, repeats or swaps what stands between two blanks."""
    parts = content.split(b" ")
    first, second = rng.integers(len(parts), size=2)
    match rng.integers(4):
        case 0:
            del parts[first]
        case 1:
            parts.insert(second, parts[first])
        case 2:
            parts[first], parts[second] = parts[second], parts[first]
        case _:
            parts[first] = NUMBERS[rng.integers(len(NUMBERS))]
    return b" ".join(parts)


def counts(rng, content, _):
    """Replaces a whole line, the first ones more often: that is where counts stand."""
    parts = content.split(b"\n")
    parts[min(int(rng.exponential(3)), len(parts) - 1)] = NUMBERS[rng.integers(len(NUMBERS))]
    return b"\n".join(parts)


def splice(rng, content, another):
    return content[: rng.integers(len(content) + 1)] + another[rng.integers(len(another)) :]


def blanks(rng, content, _):
    """Another kind of blank everywhere, which may or may not be one."""
    old = (b" ", b"\n")[rng.integers(2)]
    return content.replace(old, BREAKS[rng.integers(len(BREAKS))])


MUTATIONS = [flip, overwrite, insert, delete, truncate, lines, tokens, tokens, counts, splice, blanks]


def mutants(seeds, number, rng):
    """Seeds with one to three mutations; each seed itself comes first."""
    yield from seeds
    for _ in range(number - len(seeds)):
        content = seeds[rng.integers(len(seeds))]
        for _ in range(rng.integers(1, 4)):
            mutation = MUTATIONS[rng.integers(len(MUTATIONS))]
            content = mutation(rng, content or b"\n", seeds[rng.integers(len(seeds))])
        yield content


def measured(read, content):
    """What reading gives (bodies, or the problem that refuses them), the seconds and the peak of bytes it takes."""
    tracemalloc.reset_peak()
    before, begun = tracemalloc.get_traced_memory()[0], time.perf_counter()
    outcome = None
    try:
        outcome = read(content)
    except BadRecording as problem:
        outcome = problem
    except BaseException:
        print(f"content: {content!r}")
        raise
    return outcome, time.perf_counter() - begun, tracemalloc.get_traced_memory()[1] - before


def feed(read, contents, check=None):
    """Reads all contents; how many were accepted and refused. What is accepted must be sound, and pass `check`."""
    accepted = refused = kept = 0
    gc.collect()
    faulthandler.dump_traceback_later(120, exit=True)  # compiled code cannot be interrupted in a softer way
    tracemalloc.start()
    try:
        for content in contents:
            limit = MEMORY + MEMORY_PER_BYTE * len(content)
            outcome, seconds, taken = measured(read, content)
            if seconds >= SECONDS or taken >= limit:  # a path that is taken for the first time is compiled: once more
                kept = tracemalloc.get_traced_memory()[0]
                outcome, seconds, taken = measured(read, content)
            assert taken < limit, f"{taken} bytes for {content!r}"
            assert seconds < SECONDS, f"{seconds} s for {content!r}"
            if isinstance(outcome, BadRecording):
                refused += 1
                assert outcome.expected, content
                assert str(outcome).isprintable(), content
                continue
            accepted += 1
            assert_sound(outcome, content)
            if check is not None:
                check(outcome, content)
        del outcome
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < kept + MEMORY, "memory that grows with the number of files"
    finally:
        tracemalloc.stop()
        faulthandler.cancel_dump_traceback_later()
    return accepted, refused


def assert_sound(bodies, content):
    """The invariants of Bodies."""
    rows = len(bodies.frame)
    assert bodies.frame.shape == bodies.body.shape == (rows,), content
    assert bodies.joints.shape in ((rows, 25, 3), (rows, 20, 3)), content
    assert (bodies.frame.dtype, bodies.body.dtype, bodies.joints.dtype) == (np.int32, np.int64, np.float32), content
    assert bodies.frames >= 0, content
    if rows:
        assert bodies.frame[0] >= 0, content
        assert bodies.frame[-1] < bodies.frames, content
        assert (np.diff(bodies.frame) >= 0).all(), content


def as_python_reads(bodies, content):
    """What the compiled scanner accepts must follow the grammar, line by line, with the numbers that Python reads."""
    lines = [
        re.split(rb"[ \t\r]+", line.strip(b" \t\r")) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    ]
    remaining = iter([fields for fields in lines if fields != [b""]])
    frames = int(next(remaining)[0])
    sightings, joints = [], []
    for frame in range(frames):
        for _ in range(int(next(remaining)[0])):
            sightings.append((frame, int(next(remaining)[0])))
            assert int(next(remaining)[0]) == 25, content
            joints.append([[float(field) for field in next(remaining)[:3]] for _ in range(25)])
    assert next(remaining, None) is None, content
    assert bodies.frames == frames, content
    assert list(zip(bodies.frame, bodies.body, strict=True)) == sightings, content
    expected = np.array(joints, np.float64).reshape(-1, 25, 3).astype(np.float32)
    assert np.array_equal(bodies.joints, expected), content


@pytest.fixture
def fuzz_rng():
    return np.random.default_rng(SEED)


def skeleton_seeds(rng):
    """Tiny files of all kinds: bodies come, go and return; ends, marks and number forms differ."""
    first, second = 72057594037931101, 72057594037931103

    def pose(digits=7):
        return rng.normal(0, 1, (25, 3)).round(digits)

    plain = kinect_text([[(first, pose())], [(first, pose()), (second, pose())]])
    return [
        plain,
        plain.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + kinect_text([[], [(second, pose(2))], []]).rstrip(b"\n"),
        kinect_text([[(first, pose() * 1e-6)], [(second, pose(17))]]),
        b"3\n0\n0\n0\n",
        kinect_text([[(first + i, pose(4)) for i in range(3)]]),
    ]


def test_read_skeleton_text_survives_damage(fuzz_rng):
    def read(content):
        return read_skeleton_text("a", "a.skeleton", content)

    seeds = skeleton_seeds(fuzz_rng)
    accepted, refused = feed(read, mutants(seeds, 20_000, fuzz_rng), as_python_reads)
    assert accepted + refused == 20_000
    assert accepted > 500
    assert refused > 10_000


def uestc_seeds(rng):
    joints = rng.normal(size=(2, 25, 3)).round(6)
    frames = [[f"{x} {y} {z} 0\n1 2 1\n3 4 2" for x, y, z in frame] for frame in joints.tolist()]
    text = "".join("#\n" + "\n".join(frame) + "\n" for frame in frames).encode()
    return [text, text.replace(b"\n", b"\r\n"), text[: len(text) * 2 // 3]]


def test_read_uestc_survives_damaged_text(fuzz_rng):
    contents = mutants(uestc_seeds(fuzz_rng), 2_000, fuzz_rng)
    accepted, refused = feed(lambda content: read_uestc("a", "a.txt", content), contents)
    assert accepted > 100
    assert refused > 1000


def mat(compressed=False, **arrays):
    file = io.BytesIO()
    savemat(file, arrays, do_compression=compressed)
    return file.getvalue()


def test_read_uestc_survives_damaged_mat(fuzz_rng):
    joints = fuzz_rng.normal(size=(3, 75))
    seeds = [
        mat(v=joints.astype(np.float32)),
        mat(skel=joints.reshape(3, 25, 3)),
        mat(compressed=True, v=joints),
        mat(v=joints, note="text", more=np.array([[1, "a"]], object), sub={"a": 1}),
    ]
    contents = mutants(seeds, 2_000, fuzz_rng)
    accepted, refused = feed(lambda content: read_uestc("a", "a.mat", content), contents)
    assert accepted > 100
    assert refused > 500


def test_read_nw_ucla_survives_damage(fuzz_rng):
    joints = fuzz_rng.normal(size=(2, 20, 3)).round(4)
    joints[1] = 0
    content = json.dumps({"file_name": "a", "skeletons": joints.tolist(), "label": 1}).encode()
    seeds = [content, content.replace(b" ", b"\n"), content.decode().encode("utf-16")]
    accepted, refused = feed(lambda content: read_nw_ucla("a", "a.json", content), mutants(seeds, 2_000, fuzz_rng))
    assert accepted > 100
    assert refused > 500


@pytest.mark.parametrize("number", ["9" * 4000, "9" * 5000, "1e39", "-1e400", "true", "null", '"1"', "[]", "{}"])
def test_read_nw_ucla_refuses_values_that_are_no_number(number):
    frame = [[0.5, 1.0, 2.0]] * 20
    content = json.dumps({"skeletons": [frame]}).replace("0.5", number, 1).encode()
    if number in ("true", '"1"'):
        assert read_nw_ucla("a", "a.json", content).joints[0, 0, 0] == 1
        return
    with pytest.raises(BadRecording):
        read_nw_ucla("a", "a.json", content)
