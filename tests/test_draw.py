"""Skeletons drawn from a file: who is kept in ink, who is dropped in grey, and one picture a frame."""

import json

import numpy as np
import pytest
import yaml
from conftest import kinect_text
from PIL import Image, ImageSequence

from danet.cli import draw_command
from danet.config.settings import Prepare
from danet.errors import UserError
from danet.inference.draw import GREY, INKS, actor_of, draw
from danet.inference.recordings import read_bodies
from danet.models.weights import build_model, describe, save_weights
from danet.skeleton.layout import KINECT_V2

CLIPS = {"frames": 8}
MODEL = {"width": 16, "blocks": 1, "heads": 2}


def colors_in(path, frame=0):
    with Image.open(path) as image:
        image.seek(frame)
        return {tuple(color) for color in np.asarray(image.convert("RGB")).reshape(-1, 3).tolist()}


def near(colors, expected):
    expected = tuple(int(expected[start : start + 2], 16) for start in (1, 3, 5))
    return any(max(abs(a - b) for a, b in zip(color, expected, strict=True)) < 12 for color in colors)


@pytest.fixture
def file(tmp_path, rng):
    """A person for 20 frames, and in frames 5 to 8 something that preparation drops."""
    shape = np.array([0.15, 0.6, 0.1]) * rng.uniform(-1, 1, (25, 3)) + [0, 0, 2]
    walk = [shape + [0.02 * frame, 0, 0] for frame in range(20)]
    frames = [
        [(11, walk[frame]), *([(12, walk[frame] + [1.0, 0, 0])] if 4 <= frame < 8 else [])] for frame in range(20)
    ]
    (tmp_path / "walk.skeleton").write_bytes(kinect_text(frames))
    return tmp_path / "walk.skeleton"


def test_actor_of_tells_kept_from_dropped(file):
    bodies, layout = read_bodies(file)
    assert layout is KINECT_V2
    actors = actor_of(bodies, Prepare(), KINECT_V2)
    assert (actors[bodies.body == 11] == 0).all()
    assert (actors[bodies.body == 12] == -1).all()
    assert (actor_of(bodies, Prepare(timing="reference"), KINECT_V2) == actors).all()


def test_draw_writes_still_and_moving_pictures(file, tmp_path):
    assert draw(file, tmp_path / "walk.png") == {"frames": 20, "drawn": 8, "bodies": 2, "kept": 1}
    assert draw(file, tmp_path / "walk.gif") == {"frames": 20, "drawn": 20, "bodies": 2, "kept": 1}
    still = colors_in(tmp_path / "walk.png")
    assert near(still, INKS[0])
    assert near(still, GREY)
    assert not near(still, INKS[1])
    with Image.open(tmp_path / "walk.gif") as moving:
        assert moving.n_frames == 20
        held = [frame.info["duration"] for frame in ImageSequence.Iterator(moving)]
        assert sum(held) == pytest.approx(1000 * 20 / 30, abs=10)
        assert max(held) - min(held) == 10
    with_both, alone = colors_in(tmp_path / "walk.gif", 5), colors_in(tmp_path / "walk.gif", 15)
    assert len(with_both - alone) > 0


@pytest.mark.parametrize(("most", "drawn"), [(20, 20), (19, 10), (7, 7), (6, 5), (1, 1)])
def test_draw_draws_at_most_so_many_frames_in_the_time_of_all(file, tmp_path, most, drawn):
    assert draw(file, tmp_path / "walk.gif", most=most)["drawn"] == drawn
    with Image.open(tmp_path / "walk.gif") as moving:
        assert getattr(moving, "n_frames", 1) == drawn
        held = [frame.info["duration"] for frame in ImageSequence.Iterator(moving)]
    assert sum(held) == pytest.approx(1000 * 20 / 30, abs=10)


def test_draw_marks_attention(file, tmp_path):
    description = {"dataset": "demo", "layout": "kinect_v2_25", "actions": ["a", "b"], "model": MODEL, "clips": CLIPS}
    model = build_model(description)
    save_weights(tmp_path / "w.safetensors", model.state_dict(), description | describe(model) | {"prepare": {}})
    draw(file, tmp_path / "plain.png")
    draw(file, tmp_path / "attended.png", tmp_path / "w.safetensors")
    plain, attended = (colors_in(tmp_path / name) for name in ("plain.png", "attended.png"))

    def green(colors):
        return any(color[1] > color[0] + 25 and color[1] > color[2] + 25 for color in colors)

    assert green(attended)
    assert not green(plain)


def test_draw_command_names_the_picture_after_the_recording(file, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    draw_command(file)
    assert json.loads(capsys.readouterr().out) == {
        "picture": "walk.gif",
        "frames": 20,
        "drawn": 20,
        "bodies": 2,
        "kept": 1,
    }
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["walk.gif"]


def test_draw_refuses_other_endings(file, tmp_path):
    with pytest.raises(UserError, match=r"walk\.jpg: expected a name that ends in \.png or \.gif, got '\.jpg'"):
        draw(file, tmp_path / "walk.jpg")
    assert not (tmp_path / "walk.jpg").exists()


def test_draw_command_takes_a_layout_of_ones_own_before_any_training(tmp_path, rng, capsys):
    definition = {
        "name": "stick",
        "joints": ["hip", "head", "left hand", "right hand"],
        "parents": {"head": "hip", "left hand": "hip", "right hand": "hip"},
        "parts": {"all": ["hip", "head", "left hand", "right hand"]},
        "mirror": [["left hand", "right hand"]],
        "origin": "hip",
        "across": [["left hand", "right hand"]],
    }
    (tmp_path / "layout.yaml").write_text(yaml.safe_dump(definition))
    np.save(tmp_path / "a.npy", rng.normal(0, 0.4, (30, 4, 3)).astype(np.float32))
    with pytest.raises(UserError, match="expected 15, 17, 18, 20, 25, 32, 33 joints, or --layout, got 4 joints"):
        draw_command(tmp_path / "a.npy", tmp_path / "a.png")
    draw_command(tmp_path / "a.npy", tmp_path / "a.png", layout=str(tmp_path / "layout.yaml"))
    assert json.loads(capsys.readouterr().out)["bodies"] == 1
    with pytest.raises(UserError, match=r"expected the joints of kinect_v2_25 \(25\), got 4 joints"):
        draw_command(tmp_path / "a.npy", tmp_path / "a.png", layout="kinect_v2_25")
    with pytest.raises(UserError, match="nothing: expected a YAML file of a layout, got"):
        draw_command(tmp_path / "a.npy", tmp_path / "a.png", layout="nothing")
    with pytest.raises(UserError, match="expected one of --attention and --layout, got both"):
        draw_command(tmp_path / "a.npy", tmp_path / "a.png", attention=tmp_path / "w", layout="kinect_v2_25")


def test_draw_refuses_a_recording_without_any_joint(tmp_path):
    np.save(tmp_path / "a.npy", np.full((20, 25, 3), -1, np.float32))
    with pytest.raises(UserError, match="a: expected a joint that the sensor found, got none"):
        draw(tmp_path / "a.npy", tmp_path / "a.png", layout=KINECT_V2)
    assert not (tmp_path / "a.png").exists()
