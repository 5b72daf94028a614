"""A stream is labelled as files of the same frames are, whatever comes between them, in bounded memory."""

import gc
import io
import json
import logging
import subprocess
import sys
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from danet.config.clips import ClipSettings
from danet.config.networks import DANetSettings
from danet.config.settings import Prepare
from danet.datasets.demo import DEMO
from danet.errors import MOST_MESSAGE, BadRecording
from danet.inference.frames import LONGEST_ID, LONGEST_LINE, MOST_BODIES, bounded_lines, frames_of, read_frame
from danet.inference.predictor import load
from danet.inference.stream import TOLD_ALONE, TOLD_EVERY, BadLines, labels_of
from danet.models.weights import build_model, describe, save_weights
from danet.skeleton.layout import KINECT_V2
from tests.conftest import poses

DANET = Path(sys.executable).with_name("danet")
SIZE = 25
NOBODY = b'{"bodies": []}'


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network with random weights."""
    description = {
        **DEMO.describe(),
        "clips": ClipSettings(frames=8, test_crops=(1, 0.8)).model_dump(),
        "model": DANetSettings(width=16, blocks=1, heads=2).model_dump(),
        "prepare": Prepare().model_dump(),
        "actions": list(DEMO.actions),
    }
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    model = build_model(description)
    save_weights(path, model.state_dict(), description | describe(model))
    return path


@pytest.fixture(scope="module")
def predictor(weights):
    return load(weights)


@pytest.fixture
def two(rng):
    """(2, 40, 25, 3): two bodies, the second livelier."""
    return np.stack([poses(rng, 40), poses(rng, 40) * [1.3, 1, 1] + [1, 0, 0]])


def line_of(bodies, **more) -> bytes:
    return json.dumps({"bodies": np.asarray(bodies).tolist(), **more}).encode()


def lines_of(joints: np.ndarray) -> list[bytes]:
    return [line_of(frame) for frame in joints.swapaxes(0, 1)]


def labels(predictor, lines, window=16, every=7):
    """The labels, and what was told of bad lines."""
    told: list[str] = []
    found = list(labels_of(predictor, lines, window, every, lambda problem: told.append(str(problem))))
    return found, told


def test_labels_equal_those_of_a_file(predictor, two, tmp_path):
    for joints in (two, two[:1]):
        found, told = labels(predictor, lines_of(joints))
        assert ([label["frame"] for label in found], told) == ([7, 14, 21, 28, 35, 40], [])
        for label in found[2:]:
            np.save(tmp_path / "window.npy", joints[:, label["frame"] - 16 : label["frame"]])
            (best,) = predictor.named(predictor.scores(tmp_path / "window.npy"), 1)
            assert label["action"] == best["action"]
            assert label["score"] == pytest.approx(best["score"], abs=1e-6)
    plain = [json.dumps(frame.tolist()).encode() for frame in two[0]]
    assert labels(predictor, plain)[0] == found


def test_nobody_is_labelled_none(predictor):
    found, told = labels(predictor, [NOBODY] * 3, window=2, every=2)
    assert found == [{"frame": 2, "action": None, "score": None}, {"frame": 3, "action": None, "score": None}]
    assert told == []
    assert labels(predictor, []) == ([], [])


BODY = [[1.0, 2.0, 3.0]] * SIZE
BAD_LINES = [
    ("", "", "a frame as JSON, got a blank line"),
    (" \r\n", "", "a frame as JSON, got a blank line"),
    ("wave", "", "a frame as JSON, got 'wave' as character 1: "),
    ('{"bodies": [[[1, 2, 3', "", "a frame as JSON, got '' as character 22: "),
    (json.dumps(BODY) + " 7", "", "a frame as JSON, got '7' as character "),
    ("[" * 100_000, "", "a frame as JSON, got "),
    (f"[{'1' * 5000}]", "", "a frame as JSON, got a number of thousands of digits"),
    (b'{"bodies": "\xff"}', "", "text in UTF-8, got the byte 0xff"),
    (json.dumps(BODY).encode("utf-16"), "", "text in UTF-8, got the byte 0xff"),
    (b" " * (LONGEST_LINE + 1), "", "a line of at most 1,048,576 bytes, got a longer one"),
    ('{"body": []}', "", "an object with 'bodies', got one without"),
    ('{"bodies": null}', "", "a list of bodies, got null"),
    ('{"bodies": {}}', "", "a list of bodies, got an object"),
    (json.dumps({"bodies": [BODY] * (MOST_BODIES + 1)}), "", "at most 100 bodies in a frame, got 101"),
    ("null", ", body 1", "a list of 25 joints, got null"),
    ("7", ", body 1", "a list of 25 joints, got a number"),
    ("[]", ", body 1", "a list of 25 joints, got a list of 0"),
    (json.dumps({"bodies": [BODY, BODY[:20]]}), ", body 2", "a list of 25 joints, got a list of 20"),
    (json.dumps([*BODY[1:], [1, 2]]), ", body 1", "joints [x, y, z], got a list of 2 in joint 25"),
    (json.dumps([*BODY[1:], None]), ", body 1", "joints [x, y, z], got null in joint 25"),
    (json.dumps([*BODY[1:], [1, 2, None]]), ", body 1", "coordinates within 1,000,000 m, got null in joint 25"),
    (json.dumps([[1, "2", 3], *BODY[1:]]), ", body 1", "coordinates within 1,000,000 m, got a text in joint 1"),
    (json.dumps([[1, True, 3], *BODY[1:]]), ", body 1", "coordinates within 1,000,000 m, got true or false in joint 1"),
    (json.dumps([[1, 2, [3]], *BODY[1:]]), ", body 1", "coordinates within 1,000,000 m, got a list of 1 in joint 1"),
    (
        json.dumps({"bodies": [BODY, [*BODY[1:], [1, float("nan"), 3]]]}),
        ", body 2",
        "coordinates within 1,000,000 m, got nan in joint 25",
    ),
    (json.dumps([[float("-inf"), 2, 3], *BODY[1:]]), ", body 1", "coordinates within 1,000,000 m, got -inf in joint 1"),
    (json.dumps([[1e300, 2, 3], *BODY[1:]]), ", body 1", "coordinates within 1,000,000 m, got 1e+300 in joint 1"),
    (json.dumps([[-1000001, 2, 3], *BODY[1:]]), ", body 1", "coordinates within 1,000,000 m, got -1000001 in joint 1"),
    (
        json.dumps([[10**400, 2, 3], *BODY[1:]]),
        "",
        "coordinates within 1,000,000 m, got one of hundreds of digits",
    ),
    (line_of([BODY], ids=None), "", "'ids' with one id for each of 1 bodies, got null"),
    (line_of([BODY] * 2, ids=[1]), "", "'ids' with one id for each of 2 bodies, got a list of 1"),
    (line_of([BODY] * 2, ids=[1, 2.0]), ", body 2", "an integer or a text as id, got a number"),
    (line_of([BODY], ids=[True]), ", body 1", "an integer or a text as id, got true or false"),
    (line_of([BODY] * 3, ids=[1, "a", 1]), ", body 3", "an id that no other body has, got '1' again"),
    (line_of([BODY], ids=["a" * (LONGEST_ID + 1)]), ", body 1", "an id of at most 100 characters, got a longer one"),
    (line_of([BODY], ids=[10**LONGEST_ID]), ", body 1", "an id of at most 100 characters, got a longer one"),
]


@pytest.mark.parametrize(("line", "place", "said"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_a_bad_line_shows_nobody_and_is_told(line, place, said):
    line = line if isinstance(line, bytes) else line.encode()
    told: list[str] = []
    frames = frames_of([line_of([BODY]), line, line_of([BODY])], SIZE, lambda problem: told.append(str(problem)))
    assert [len(frame.joints) for frame in frames] == [1, 0, 1]
    (message,) = told
    assert message.startswith(f"standard input, line 2{place}: expected {said}")
    assert len(message.splitlines()) == 1


def test_labels_go_on_after_bad_lines(predictor, two):
    """What is bad counts as a frame without anybody."""
    lines = lines_of(two)
    without = [NOBODY if number in (3, 20, 39) else line for number, line in enumerate(lines)]
    for bad in (b"", b"\x80", json.dumps([[float("nan")] * 3] * SIZE).encode()):
        given = [bad if line == NOBODY else line for line in without]
        found, told = labels(predictor, given)
        assert found == labels(predictor, without)[0]
        assert [message.split(":")[0].split(", ")[1] for message in told] == ["line 4", "line 21", "line 40"]


def test_what_a_terminal_would_act_on_is_spelt_out():
    with pytest.raises(BadRecording, match=r"got '\\x1b\[31mred' as character 1"):
        read_frame(b"\x1b[31mred", SIZE)


def test_a_mark_at_the_start_and_windows_line_ends_are_read():
    frame, unknown = read_frame(b"\xef\xbb\xbf" + line_of([BODY]) + b"\r\n", SIZE)
    assert (frame.joints.shape, frame.joints.dtype, unknown) == ((1, SIZE, 3), np.float32, [])


@pytest.mark.parametrize("names", [(1, 2), ("left", "right"), (2**64 - 1, "1"), (1, "1")])
def test_ids_tell_who_is_who_when_bodies_change_places(predictor, two, names):
    expected = labels(predictor, lines_of(two))[0]
    by_turns = [[0, 1] if number // 2 % 2 == 0 else [1, 0] for number in range(two.shape[1])]
    frames = list(zip(by_turns, two.swapaxes(0, 1), strict=True))
    with_ids = [line_of(frame[order], ids=[names[place] for place in order]) for order, frame in frames]
    assert labels(predictor, with_ids) == (expected, [])
    assert labels(predictor, [line_of(frame[order]) for order, frame in frames])[0] != expected


def test_a_place_in_the_list_is_no_id():
    """Frames with ids and frames without can be mixed: body 0 of a list is not the one of id 0."""
    frames = frames_of([line_of([BODY]), line_of([BODY], ids=[0]), line_of([BODY], ids=["0"])], SIZE, print)
    assert len({frame.keys for frame in frames}) == 3


def test_unknown_keys_are_ignored_and_told_once(predictor, two, caplog):
    lines = [line_of(frame, time=number, **{"x\n" * 100: 0}) for number, frame in enumerate(two.swapaxes(0, 1))]
    with caplog.at_level(logging.WARNING):
        assert labels(predictor, lines) == (labels(predictor, lines_of(two))[0], [])
    (record,) = (record for record in caplog.records if record.name == "danet.inference.frames")
    assert record.getMessage() == (
        "standard input, line 1: expected no key but 'bodies' and 'ids', got 'time': "
        "keys like this are ignored, and told once"
    )


def test_bad_lines_are_told_one_by_one_then_counted(capsys):
    bad = BadLines()
    for number in range(1, 2 * TOLD_EVERY + 501):
        bad(BadRecording("standard input", "a frame", "x" * 1000 if number == 1 else "none", line=number))
    bad.sum_up()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("xxx...")
    assert len(lines[0]) <= len("danet: ") + MOST_MESSAGE
    assert lines[1:TOLD_ALONE] == [
        f"danet: standard input, line {number}: expected a frame, got none" for number in range(2, TOLD_ALONE + 1)
    ]
    assert lines[TOLD_ALONE:] == [
        "danet: standard input: more than 10 bad lines; from now on only their number is told",
        "danet: standard input: 1,000 bad lines so far",
        "danet: standard input: 2,000 bad lines so far",
        "danet: standard input: 2,500 bad lines in all",
    ]


class Endless(io.RawIOBase):
    """A stream that gives `count` bytes without a line's end, then `rest`."""

    def __init__(self, count: int, rest: bytes):
        self.count, self.rest = count, io.BytesIO(rest)

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.count:
            return self.rest.readinto(buffer)
        size = min(self.count, len(buffer))
        buffer[:size] = b"1" * size
        self.count -= size
        return size


def test_a_line_without_end_is_skipped_in_bounded_memory():
    stream = io.BufferedReader(Endless(64 * LONGEST_LINE, b"\n" + line_of([BODY]) + b"\n"))
    told: list[str] = []
    tracemalloc.start()
    frames = [len(frame.joints) for frame in frames_of(bounded_lines(stream), SIZE, lambda bad: told.append(str(bad)))]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frames == [0, 1]
    assert told == ["standard input, line 1: expected a line of at most 1,048,576 bytes, got a longer one"]
    assert peak < 6 * LONGEST_LINE


def test_a_line_without_end_is_told_before_it_ends():
    stream = io.BufferedReader(Endless(1 << 60, b""))
    (frame,) = islice(frames_of(bounded_lines(stream), SIZE, lambda problem: None), 1)
    assert len(frame.joints) == 0


def test_the_longest_line_is_read():
    line = NOBODY.ljust(LONGEST_LINE - 1) + b"\n"
    assert list(bounded_lines(io.BytesIO(line + NOBODY))) == [line, NOBODY]
    assert read_frame(line, SIZE)[1] == []


def test_a_text_among_many_takes_no_memory():
    """NumPy would give each of the texts as much room as the longest."""
    texts = json.dumps([["a" * 500_000, *[""] * 100_000]]).encode()
    with pytest.raises(BadRecording, match="a list of 25 joints"):
        read_frame(texts, SIZE)


def test_memory_does_not_grow_with_the_stream(rng):
    """Each frame names bodies that never come again, one in a hundred lines is bad, and all have keys of their own."""

    class Nothing:
        layout, recorded, prepare = KINECT_V2, KINECT_V2, Prepare()

        def as_known(self, bodies):
            return bodies

        def doubtful(self, doubts):
            return []

        def scores(self, sequence):
            return sequence.joints.shape

        def named(self, scores, top):
            return [{"action": "any", "score": 1.0}]

    bodies = json.dumps(poses(rng, 2).tolist())

    def lines(count):
        for number in range(count):
            good = f'{{"bodies": {bodies}, "ids": ["{number} a", "{number} b"], "key {number}": {number}}}'
            yield b"{" if number % 100 == 50 else good.encode()

    list(labels_of(Nothing(), lines(100), 60, 50, BadLines()))  # compiles the denoising
    problems = BadLines()
    held = []
    tracemalloc.start()
    for label in labels_of(Nothing(), lines(3000), 60, 500, problems):
        gc.collect()
        held.append((label["frame"], tracemalloc.get_traced_memory()[0]))
    tracemalloc.stop()
    assert problems.count == 30
    assert [number for number, _ in held] == [500, 1000, 1500, 2000, 2500, 3000]
    assert held[-1][1] - held[1][1] < 50_000


def test_a_crowd_of_strangers_is_labelled(predictor, rng):
    """As many bodies as a frame may hold, and new ids in every frame of the window."""
    crowd = poses(rng, MOST_BODIES)
    lines = [line_of(crowd, ids=[f"{number} {place}" for place in range(MOST_BODIES)]) for number in range(30)]
    found, told = labels(predictor, lines, window=30, every=30)
    assert ([label["frame"] for label in found], told) == ([30], [])
    assert found[0]["action"] in DEMO.actions


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_stream_command_labels_and_tells(weights, two, bad):
    lines = [*lines_of(two)[:20], *[b"no frame"] * bad, b""]
    command = [DANET, "stream", str(weights), "--every", "10"]
    done = subprocess.run(command, input=b"\n".join(lines), capture_output=True)
    assert [json.loads(line)["frame"] for line in done.stdout.splitlines()] == [10, 20, *([20 + bad] if bad else [])]
    told = done.stderr.decode().splitlines()
    doubts = [line for line in told if line.startswith("danet: standard input: joints in another order?")]
    assert len(doubts) == 1, "random joints are no person, which is told once"
    said = [line for line in told if line not in doubts]
    assert done.returncode == (2 if bad else 0)
    assert len(said) == bad
    for number, line in enumerate(said, 21):
        assert line.startswith(f"danet: standard input, line {number}: expected a frame as JSON, got 'no frame'")
