"""The reader of `.skeleton` text, against Python's own number reader and against every kind of damage."""

import numpy as np
import pytest
from conftest import kinect_text
from hypothesis import given, settings
from hypothesis import strategies as st

from danet.datasets.readers.kinect_text import read_skeleton_text
from danet.errors import BadRecording

FIRST, SECOND = 72057594037931101, 72057594037931103  # beyond 2^53 and next to one another


def read(content: bytes):
    return read_skeleton_text("sample", "sample.skeleton", content)


@pytest.fixture
def joints(rng):
    return rng.normal(0, 1, (25, 3)).round(6)


def test_read_skeleton_text_keeps_frames_and_ids(rng):
    poses = rng.normal(0, 1, (3, 25, 3)).round(6)
    bodies = read(kinect_text([[(FIRST, poses[0])], [], [(SECOND, poses[1]), (FIRST, poses[2])]]))
    assert bodies.frames == 3
    assert bodies.frame.tolist() == [0, 2, 2]
    assert bodies.body.tolist() == [FIRST, SECOND, FIRST]
    np.testing.assert_array_equal(bodies.joints, poses.astype(np.float32))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e30, 1e30, width=64), min_size=75, max_size=75), st.sampled_from(["r", ".7g", ".3e", "f"]))
def test_read_skeleton_text_reads_numbers_as_python(values, style):
    texts = [repr(value) if style == "r" else format(value, style) for value in values]
    lines = [" ".join([*texts[i : i + 3], *"123456789"]) for i in range(0, 75, 3)]
    content = "\n".join(["1", "1", "7 0 0 0 0 0 0 0 0 2", "25", *lines]).encode()
    expected = np.array([float(text) for text in texts]).astype(np.float32).reshape(1, 25, 3)
    np.testing.assert_array_equal(read(content).joints, expected)


@pytest.mark.parametrize("text", ["-0", "1e-5", "+1.5E+2", ".5", "5.", "0.1234567890123456789012345", "1e-60"])
def test_read_skeleton_text_reads_forms_of_a_number(joints, text):
    content = kinect_text([[(FIRST, joints)]]).replace(repr(float(joints[0, 0])).encode(), text.encode(), 1)
    number = read(content).joints[0, 0, 0]
    assert number == np.float32(float(text))
    assert np.signbit(number) == text.startswith("-")


@pytest.mark.parametrize("text", ["1e", "--1", "1.2.3", "0x10", "1_0", "abc", "-", "1,5"])
def test_read_skeleton_text_refuses_what_is_no_number(joints, text):
    content = kinect_text([[], [(FIRST, joints)]]).replace(repr(float(joints[0, 0])).encode(), text.encode(), 1)
    with pytest.raises(BadRecording) as caught:
        read(content)
    assert caught.value.frame == 2
    assert "decimal numbers" in caught.value.expected


def test_read_skeleton_text_takes_line_ends_blank_lines_and_marks(joints):
    plain = kinect_text([[(FIRST, joints)], [(FIRST, joints + 1)]])
    expected = read(plain).joints
    for same in (
        plain.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + plain,
        plain.rstrip(b"\n"),
        plain.replace(b"\n", b"\n\n \t\n"),
        plain.replace(b" ", b"\t "),
    ):
        np.testing.assert_array_equal(read(same).joints, expected)


def test_read_skeleton_text_refuses_truncated_text(joints):
    lines = kinect_text([[(FIRST, joints)], [(SECOND, joints)]]).split(b"\n")
    for count in range(len(lines) - 1):
        with pytest.raises(BadRecording):
            read(b"\n".join(lines[:count]))
    for count in range(1, len(lines) - 1):
        fields = lines[count].split(b" ")
        if len(fields) > 1:
            with pytest.raises(BadRecording):
                read(b"\n".join([*lines[:count], b" ".join(fields[:-1])]))


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        (0, b"-3", "number of frames"),
        (0, b"many", "number of frames"),
        (0, b"999999", "number of bodies"),
        (0, b"999999999999", "number of frames, at most 1,000,000"),
        (1, b"-1", "number of bodies"),
        (1, b"88", "an integer id"),
        (1, b"888888888888", "number of bodies, at most 100"),
        (1, b"1 1", "number of bodies"),
        (2, b"7.2e16 0 0 0 0 0 0 0 0 2", "an integer id"),
        (2, b"7 0 0 0 0", "an integer id"),
        (3, b"24", "number of joints, 25"),
        (4, b"1 2 3 4", "12 fields"),
        (4, b"1 2 3 4 5 6 7 8 9 10 11 12 13", "12 fields"),
        (29, b"spare", "end of the file"),
    ],
)
def test_read_skeleton_text_names_the_damage(joints, line, text, expected):
    lines = kinect_text([[(FIRST, joints)]]).split(b"\n")
    lines[line] = text
    with pytest.raises(BadRecording, match=expected) as caught:
        read(b"\n".join(lines))
    assert caught.value.line in (line + 1, len(lines))  # a count that is too large is only missed at the end
    assert caught.value.file == "sample.skeleton"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("-1", -1),
        ("18446744073709551615", -1),
        ("9223372036854775808", -(2**63)),
        ("-9223372036854775808", -(2**63)),
        ("9223372036854775807", 2**63 - 1),
        ("00000000000000000007", 7),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        ("-9223372036854775809", None),
        ("-18446744073709551615", None),
        ("100000000000000000000", None),
        ("-", None),
        ("--1", None),
        ("1.0", None),
    ],
)
def test_read_skeleton_text_takes_any_integer_of_64_bits_for_an_id(joints, text, number):
    content = kinect_text([[(0, joints)]]).replace(b"\n0 0", b"\n" + text.encode() + b" 0", 1)
    if number is None:
        with pytest.raises(BadRecording, match=f"expected a body: an integer id and 9 more fields, got '{text} "):
            read(content)
    else:
        assert read(content).body.tolist() == [number]


def test_read_skeleton_text_says_what_is_wrong_with_ids_and_with_its_encoding(joints):
    content = kinect_text([[(0, joints), (0, joints)]])
    with pytest.raises(BadRecording, match="each body id once in a frame, got id 0 twice, and no other in the file"):
        read(content)
    with pytest.raises(BadRecording, match="expected text in ASCII or UTF-8, got UTF-16"):
        read(content.decode().encode("utf-16"))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\0" * 500, bytes(range(256)) * 9])
def test_read_skeleton_text_refuses_what_is_no_text(content):
    with pytest.raises(BadRecording):
        read(content)


def test_read_skeleton_text_refuses_a_nul_far_inside(joints):
    content = bytearray(kinect_text([[(FIRST, joints)]]))
    content[-3] = 0
    with pytest.raises(BadRecording, match="NUL"):
        read(bytes(content))


def test_read_skeleton_text_refuses_repeated_id(joints):
    with pytest.raises(BadRecording, match=f"id {FIRST} twice"):
        read(kinect_text([[], [(FIRST, joints), (FIRST, joints)]]))


def test_read_skeleton_text_reads_seven_bodies(joints):
    assert read(kinect_text([[(FIRST + body, joints) for body in range(7)]])).body.tolist() == list(
        range(FIRST, FIRST + 7)
    )
