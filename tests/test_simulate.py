"""The simulator: grammar, geometry, repeatability, faults, and that the views matter."""

import re
from pathlib import Path

import numpy as np
import pytest

from danet.config.settings import Simulate
from danet.datasets.demo import DEMO
from danet.simulate.actions import ACTIONS, TWO_PERSON
from danet.simulate.body import CHANNELS, JOINT, draw_person, pose_joints
from danet.simulate.cameras import COLOUR, DEPTH, Camera, ntu_camera, ntu_heading_degrees, pixels
from danet.simulate.faults import FIRST_ID
from danet.simulate.motion import perform
from danet.simulate.randomness import generator, smooth_noise
from danet.simulate.scripts import SCRIPTS, path
from danet.simulate.simulate import Performance, motion, performances, record, simulate
from danet.simulate.tracking import INFERRED, TRACKED, hidden, track
from danet.skeleton.layout import KINECT_V2

SMALL = Simulate(performers=2, replications=1, frames=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "new"
    assert simulate(folder, SMALL) == 2 * len(ACTIONS) * 3
    return folder


@pytest.fixture(scope="module")
def recorded() -> list[tuple[Performance, int, int, object]]:
    """Performance, camera, number of people and sightings of a set large enough for every fault."""
    settings = Simulate(performers=6, replications=2, frames=40)
    return [
        (performance, camera, joints.shape[1], record(settings, performance, camera, joints))
        for performance in performances(settings)
        for joints in [motion(settings, performance)]
        for camera in (1, 2, 3)
    ]


def read_plainly(text: str) -> list[dict[int, np.ndarray]]:
    """The bodies of each frame, id -> (25, 12), by the grammar and nothing else."""
    lines = iter(text.splitlines())
    frames = []
    for _ in range(int(next(lines))):
        bodies = {}
        for _ in range(int(next(lines))):
            header = next(lines).split()
            assert len(header) == 10
            assert all(abs(float(lean)) <= 1 for lean in header[7:9])
            assert int(next(lines)) == 25
            bodies[int(header[0])] = np.array([next(lines).split() for _ in range(25)], dtype=float)
        frames.append(bodies)
    assert list(lines) == []
    return frames


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def lengths(joints: np.ndarray) -> np.ndarray:
    child, parent = KINECT_V2.bones.T
    return np.linalg.norm(joints[..., child, :] - joints[..., parent, :], axis=-1)


def test_scripts_cover_all_actions():
    assert tuple(SCRIPTS) == ACTIONS
    assert {ACTIONS.index(action) for action, scripts in SCRIPTS.items() if len(scripts) == 2} == TWO_PERSON
    assert min(TWO_PERSON) == len(ACTIONS) - len(TWO_PERSON)
    time = np.linspace(0, 1, 50)
    word = r"(towards )?(main|other|left|right)"
    for scripts in SCRIPTS.values():
        for name in scripts[0](time, 1.0):
            assert name in CHANNELS or re.match(word, name)


def test_simulate_names_recordings_by_setup(folder):
    samples = [DEMO.parse_name(Path(name).stem) for name in files(folder)]
    assert None not in samples
    assert {(s.subject, s.view, s.action) for s in samples} == {
        (p, str(c), a) for p in (1, 2) for c in (1, 2, 3) for a in range(len(ACTIONS))
    }
    setups = {p.performer: p.setup for p in performances(Simulate(performers=8, setups=2))}
    for parity in (0, 1):  # the two sides of cross-subject both meet every setup
        assert {setup for performer, setup in setups.items() if performer % 2 == parity} == {1, 2}


def test_simulate_follows_the_grammar(folder):
    for name, content in files(folder).items():
        frames = read_plainly(content.decode("ascii"))
        sample = DEMO.parse_name(Path(name).stem)
        bodies = DEMO.read(sample.name, name, content)
        assert len(frames) == bodies.frames >= 20
        assert bodies.body.tolist() == [number for frame in frames for number in frame]
        assert min(bodies.body) > 2**53
        rows = np.array([row for frame in frames for row in frame.values()])
        np.testing.assert_array_equal(rows[..., :3].astype(np.float32), bodies.joints)
        assert rows[..., 2].min() > 0.5
        np.testing.assert_allclose(rows[..., 3:5], pixels(rows[..., :3], DEPTH), rtol=1e-5, atol=1e-2)
        np.testing.assert_allclose(rows[..., 5:7], pixels(rows[..., :3], COLOUR), rtol=1e-5, atol=1e-2)
        assert set(np.unique(rows[..., 11])) <= {0, 1, 2}


def test_orientations_turn_y_along_the_bone(folder):
    frames = read_plainly(next(iter(files(folder).values())).decode())
    rows = np.array([row for frame in frames for row in frame.values()])
    inner = np.intersect1d(np.arange(1, 25), KINECT_V2.parents)
    w, x, y, z = np.moveaxis(rows[:, inner, 7:11], -1, 0)
    np.testing.assert_allclose(w**2 + x**2 + y**2 + z**2, 1, atol=1e-5)
    turned = np.stack([2 * (x * y - w * z), 1 - 2 * (x**2 + z**2), 2 * (y * z + w * x)], axis=-1)
    bones = rows[:, inner, :3] - rows[:, np.array(KINECT_V2.parents)[inner], :3]
    np.testing.assert_allclose(turned, bones / np.linalg.norm(bones, axis=-1, keepdims=True), atol=1e-3)
    ends = np.setdiff1d(np.arange(25), KINECT_V2.parents)
    assert not rows[:, ends, 7:11].any()


def test_simulate_repeats_bytes_for_a_seed(folder, tmp_path):
    simulate(tmp_path / "again", SMALL)
    assert files(tmp_path / "again") == files(folder)


def test_simulate_depends_on_seed_and_name_alone(folder, tmp_path):
    simulate(tmp_path / "more", SMALL.model_copy(update={"performers": 3}))
    more, few = files(tmp_path / "more"), files(folder)
    assert len(more) > len(few)
    assert {name: more[name] for name in few} == few
    simulate(tmp_path / "other", SMALL.model_copy(update={"seed": -7}))
    assert all(few[name] != content for name, content in files(tmp_path / "other").items())


def test_motion_keeps_the_limbs_of_each_performer():
    of = {}
    for performance in performances(Simulate(performers=4, replications=2, frames=24)):
        measured = lengths(motion(Simulate(frames=24), performance))
        np.testing.assert_allclose(measured, np.broadcast_to(measured[:1], measured.shape), atol=1e-9)
        known = of.setdefault(performance.performer, measured[0, 0])
        np.testing.assert_allclose(measured[0, 0], known, atol=1e-9)
    several = np.stack(list(of.values()))
    assert (several.std(axis=0) > 0.001).all()


def test_pose_joints_at_rest_stand_upright():
    pose = {channel: np.zeros(3) for channel in CHANNELS}
    joints = pose_joints(draw_person(generator(1, "P001")).lengths, pose)
    seen = Camera(0.0, 3.0, 0.9).see(joints)[0]  # level
    assert seen[JOINT["left shoulder"], 0] < seen[JOINT["right shoulder"], 0]  # as in real recordings
    assert seen[JOINT["left hand"], 0] < seen[JOINT["right hand"], 0]
    height = [seen[JOINT[name], 1] for name in ("left ankle", "left knee", "spine base", "spine mid", "neck", "head")]
    assert height == sorted(height)
    assert seen[JOINT["left foot"], 2] < seen[JOINT["left ankle"], 2]  # toes towards the camera
    assert joints[0, JOINT["left ankle"], 1] == pytest.approx(draw_person(generator(1, "P001")).lengths["ankle"])


def test_pose_joints_bend_knees_and_elbows():
    pose = {channel: np.zeros(1) for channel in CHANNELS} | {
        "left elbow": np.array([90.0]),
        "left knee": np.array([90.0]),
    }
    joints = pose_joints(draw_person(generator(1, "P001")).lengths, pose)[0]
    assert joints[JOINT["left wrist"], 2] > joints[JOINT["left elbow"], 2] + 0.15  # to the front
    assert joints[JOINT["left ankle"], 2] < joints[JOINT["left knee"], 2] - 0.3  # to the back


@pytest.mark.parametrize("action", ["hand waving", "drinking"])
def test_perform_prefers_the_main_hand(action):
    person = next(p for p in (draw_person(generator(0, str(n))) for n in range(20)) if p.main == "right")
    right = 0
    for n in range(20):
        joints = perform(generator(n, action), action, (person,), frames=30, heading_degrees=0)[:, 0]
        travel = [
            np.ptp(joints[:, JOINT[f"{side} wrist"]] - joints[:, JOINT["spine mid"]], axis=0).sum()
            for side in ("left", "right")
        ]
        right += travel[1] > travel[0]
    assert 11 < right < 20


def test_perform_points_where_it_says():
    person = draw_person(generator(1, "P001"))
    for action, axis, sign in (("ahead", 2, 1), ("to the left", 0, 1), ("to the right", 0, -1)):
        joints = perform(generator(3, "x"), f"pointing {action}", (person,), frames=60, heading_degrees=0)[:, 0]
        reach = joints[:, JOINT["right hand"]] - joints[:, JOINT["right shoulder"]]
        assert (sign * reach[:, axis]).max() > 0.3, action


def test_perform_sits_down_and_stands_up():
    person = draw_person(generator(1, "P001"))
    down, up = (
        perform(generator(1, a), a, (person,), frames=60, heading_degrees=0)[:, 0, 0, 1] for a in ACTIONS[13:15]
    )
    assert down[0] - down[-1] > 0.2
    assert up[-1] - up[0] > 0.2


def test_ntu_camera_angles():
    for replication, front, side in ((1, 2, 3), (2, 3, 2)):
        facing = np.radians(ntu_heading_degrees(replication))
        face = np.array([np.sin(facing), 0, np.cos(facing)])
        angle = {}
        for camera in (1, 2, 3):
            looked = ntu_camera(1, camera).see(np.stack([np.zeros(3), face])[None])[0]
            ahead = (looked[1] - looked[0])[[0, 2]]
            angle[camera] = np.degrees(np.arctan2(abs(ahead[0]), -ahead[1]))
        assert angle[1] == pytest.approx(45, abs=10)  # the camera looks down a little
        assert angle[front] == pytest.approx(0, abs=1e-6)
        assert angle[side] == pytest.approx(90, abs=1e-6)


def test_moving_camera_sees_as_standing_ones():
    joints = np.random.default_rng(0).normal(size=(4, 2, 25, 3))
    azimuths = np.array([0.0, 30.0, 150.0, 270.0])
    moving = Camera(azimuths, 3.0, 1.5).see(joints)
    for frame, azimuth in enumerate(azimuths):
        np.testing.assert_allclose(moving[frame], Camera(azimuth, 3.0, 1.5).see(joints)[frame])


def rigid(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The proper rotation and shift that bring (K, 3) points a nearest to b (Kabsch)."""
    centre_a, centre_b = a.mean(axis=0), b.mean(axis=0)
    u, _, v = np.linalg.svd((a - centre_a).T @ (b - centre_b))
    turn = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ v))]) @ v
    return turn, centre_b - centre_a @ turn


@pytest.mark.parametrize("action", [1, 4, 11, 16])
def test_cameras_see_one_motion(action):
    joints = motion(Simulate(), Performance(1, 1, 1, action))
    exact = [ntu_camera(1, camera).see(joints) for camera in (1, 2, 3)]
    seen = [track(generator(1, str(camera)), exact[camera - 1]) for camera in (1, 2, 3)]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        turn, shift = rigid(exact[a].reshape(-1, 3), exact[b].reshape(-1, 3))
        np.testing.assert_allclose(exact[a] @ turn + shift, exact[b], atol=1e-9)
        both = (seen[a][1] == TRACKED) & (seen[b][1] == TRACKED)
        assert both.mean() > 0.4
        turn, shift = rigid(seen[a][0][both], seen[b][0][both])
        off = np.linalg.norm(seen[a][0][both] @ turn + shift - seen[b][0][both], axis=-1)
        assert 0.01 < np.sqrt((off**2).mean()) < 0.12


def test_hidden_finds_far_limbs_from_the_side():
    pose = {channel: np.zeros(30) for channel in CHANNELS} | {
        f"{side} spread": np.full(30, 8.0) for side in ("left", "right")
    }
    joints = pose_joints(draw_person(generator(1, "P001")).lengths, pose)[:, None]
    far = [JOINT["right shoulder"], JOINT["right elbow"], JOINT["right knee"]]
    near = [JOINT["left shoulder"], JOINT["left elbow"], JOINT["left knee"]]
    side, front = Camera(90.0, 3.0, 1.2).see(joints), Camera(0.0, 3.0, 1.2).see(joints)
    assert hidden(side)[0][0, 0, far].min() > 0.9
    assert hidden(side)[0][0, 0, near].max() < 0.1
    assert hidden(front)[0].max() < 0.5
    tracked = [track(generator(1, str(draw)), side) for draw in range(20)]
    states = np.stack([states for _, states in tracked])[:, :, 0]
    error = np.stack([reported - side for reported, _ in tracked])[:, :, 0]
    assert (states[..., far] == INFERRED).mean() > 0.8
    assert (states[..., near] == TRACKED).mean() > 0.95
    size = np.linalg.norm(error, axis=-1)
    assert size[..., far].mean() > 2 * size[..., near].mean()
    assert error[..., far, 2].mean() < -0.04  # drawn towards the body in front
    assert abs(error[..., near, 2].mean()) < 0.02


def test_track_noise_grows_with_depth():
    errors = []
    for distance in (2.0, 4.0):
        seen = Camera(0.0, distance, 1.0).see(motion(Simulate(), Performance(1, 1, 1, 1)))
        errors.append(np.abs(track(generator(1, "same"), seen)[0] - seen).mean())
    assert errors[1] > 1.8 * errors[0]


def test_sight_makes_every_fault_and_none_often(recorded):
    faults = dict.fromkeys(("lost", "new id", "returning id", "short ghost", "flat ghost"), 0)
    for _, _, people, seen in recorded:
        assert len(seen.frame) > 0
        assert (np.diff(seen.frame) >= 0).all()
        assert seen.body.min() > FIRST_ID
        counts = np.bincount(seen.frame, minlength=seen.frames)
        faults["lost"] += (counts == 0).any()
        ids = {number: seen.frame[seen.body == number] for number in np.unique(seen.body)}
        gaps = [np.diff(frames).max(initial=1) > 1 for frames in ids.values()]
        without_frames = set(np.flatnonzero(counts == 0))
        for frames, gap in zip(ids.values(), gaps, strict=True):
            between = set(range(frames[0], frames[-1])) - set(frames.tolist()) - without_frames
            faults["returning id"] += gap and len(between) > 1
        flat = {n for n in ids if (spread(seen.joints[seen.body == n]) > 0.8).mean() >= 0.7 and len(ids[n]) > 11}
        faults["flat ghost"] += bool(flat)
        others = [n for n in ids if n not in flat]
        crowd = np.bincount(seen.frame[np.isin(seen.body, others)], minlength=seen.frames).max()
        faults["short ghost"] += crowd > people and min(len(ids[n]) for n in others) <= 11
        faults["new id"] += len(others) > people >= crowd
    for fault, times in faults.items():
        assert 0.005 < times / len(recorded) < 0.2, fault


def spread(joints: np.ndarray) -> np.ndarray:
    """(R,): width over height of each sighting."""
    return np.ptp(joints[..., 0], axis=-1) / np.ptp(joints[..., 1], axis=-1)


def test_record_shows_two_people_in_two_person_actions(recorded):
    most = {True: [], False: []}
    for performance, _, people, seen in recorded:
        together = performance.action - 1 in TWO_PERSON
        assert people == 1 + together
        most[together].append(np.median(np.bincount(seen.frame, minlength=seen.frames)))
    assert np.mean(np.array(most[True]) == 2) > 0.85
    assert np.mean(np.array(most[False]) == 1) > 0.85


def test_smooth_noise_is_normal_and_smooth():
    noise = smooth_noise(np.random.default_rng(0), 400, (20, 3), width=5)
    assert noise.shape == (400, 20, 3)
    assert noise.std() == pytest.approx(1, abs=0.05)
    assert (noise[1:] * noise[:-1]).mean() > 0.97 * (noise**2).mean()
    assert abs((noise[-1] * noise[0]).mean()) < 0.4  # the end knows nothing of the start


def test_path_goes_through_its_keys():
    at = np.array([-1, 0.2, 0.5, 0.9, 2])
    np.testing.assert_allclose(path(at, (0.2, 1), (0.5, 3), (0.9, -2)), [1, 1, 3, -2, -2])
    assert path(np.array([0.35]), (0.2, 1), (0.5, 3))[0] == pytest.approx(2)


def first_body(seen, frames: int = 20) -> np.ndarray:
    """(frames, 25, 3): the body that is seen longest, spread over the recording, its mid spine at the origin."""
    numbers, times = np.unique(seen.body, return_counts=True)
    mine = seen.body == numbers[times.argmax()]
    at = np.interp(np.linspace(0, seen.frames - 1, frames), seen.frame[mine], np.arange(mine.sum()))
    joints = seen.joints[mine][at.round().astype(int)]
    return joints - joints[0, 1]


def faced(clips: np.ndarray) -> np.ndarray:
    """(N, T, 25, 3): turned about the vertical so that hips and shoulders lie along x when the clip starts."""
    across = sum(clips[:, 0, left] - clips[:, 0, right] for left, right in KINECT_V2.across)
    angle = np.arctan2(across[:, 2], across[:, 0])[:, None, None]
    x, y, z = np.moveaxis(clips, -1, 0)
    return np.stack([np.cos(angle) * x + np.sin(angle) * z, y, np.cos(angle) * z - np.sin(angle) * x], axis=-1)


def nearest(clips: np.ndarray, actions: np.ndarray, training: np.ndarray) -> float:
    """The accuracy of the nearest training clip's action, on the rest."""
    flat = clips.reshape(len(clips), -1)
    train, test = flat[training], flat[~training]
    distance = (train**2).sum(axis=1) - 2 * test @ train.T
    return float(np.mean(actions[training][distance.argmin(axis=1)] == actions[~training]))


def test_new_view_is_hard_unless_taken_out(recorded):
    clips = np.stack([first_body(seen) for *_, seen in recorded])
    actions = np.array([performance.action for performance, *_ in recorded])
    cross_subject = np.array([performance.performer % 2 == 1 for performance, *_ in recorded])
    cross_view = np.array([camera != 1 for _, camera, *_ in recorded])
    assert 0.65 < nearest(clips, actions, cross_subject) < 0.97
    assert nearest(clips, actions, cross_view) < nearest(clips, actions, cross_subject) - 0.08
    assert nearest(faced(clips), actions, cross_view) > nearest(clips, actions, cross_view) + 0.15
    assert nearest(faced(clips), actions, cross_view) > 0.85
