"""SkateFormer: the lines and partitions that it makes of a layout and of frames, and its bias in time."""

import pytest
import torch

from danet.config.clips import ClipSettings
from danet.config.networks import SkateFormerSettings
from danet.models.skateformer import PartitionAttention, SkateFormer, lines_of
from danet.skeleton.layout import KINECT_V2, LAYOUTS


def test_lines_of_a_kinect_are_the_published_ones():
    """Right arm, left arm, right leg, left leg, two lines of the torso; the joint between the shoulders is left out."""
    lines = lines_of(KINECT_V2)
    assert lines.length == 4
    assert lines.joints == [
        *(10, 11, 23, 24, 6, 7, 21, 22),
        *(16, 17, 18, 19, 12, 13, 14, 15),
        *(4, 8, 5, 9, 1, 2, 0, 3),
    ]


@pytest.mark.parametrize("layout", [each for each in LAYOUTS.values() if each != KINECT_V2], ids=lambda each: each.name)
def test_lines_of_other_layouts_hold_each_joint_but_one_too_many(layout):
    lines = lines_of(layout)
    left_out = [layout.joints[joint] for joint in set(range(layout.size)) - set(lines.joints)]
    assert left_out == (["neck"] if layout.name == "openpose_25" else [])
    assert 0 <= len(lines.joints) + len(left_out) - layout.size < lines.length
    assert len(lines.joints) % lines.length == 0


@torch.no_grad()
@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("frames", [8, 16, 52, 64])
def test_partitions_fit_frames_and_joints(frames, layout):
    clips = ClipSettings(frames=frames, streams=("joint",))
    settings = SkateFormerSettings(width=32, people=1)
    settings.check_clips(clips)
    model = SkateFormer(settings=settings, layout=LAYOUTS[layout], clips=clips, actions=5)
    assert model.eval().logits_of(torch.randn(1, 3, frames, len(model.order), 1)).isfinite().all()


def test_partitions_are_of_eight_frames_where_they_can_be():
    assert SkateFormerSettings().partition_frames(64) == [8, 8, 8, 8]
    assert SkateFormerSettings().partition_frames(52) == [13, 13, 13, 7]
    with pytest.raises(ValueError, match=r"multiples of 4 to 16, as 64, got 68, which become 34$"):
        SkateFormerSettings().check_clips(ClipSettings(frames=68))


@torch.no_grad()
@pytest.mark.parametrize("far_tokens", [False, True])
@pytest.mark.parametrize("far_frames", [False, True])
def test_tokens_attend_within_their_partition(far_frames, far_tokens):
    attend = PartitionAttention(2, 3, far_frames=far_frames, far_tokens=far_tokens, bias_over_frames=False)
    tokens = torch.randn(1, 4, 6, 24)
    changed = tokens.clone()
    changed[0, 0, 0] += 1
    moved = (attend(tokens) != attend(changed)).any(dim=3)[0].nonzero()
    frames, joints = (0, 2) if far_frames else (0, 1), (0, 2, 4) if far_tokens else (0, 1, 2)
    assert moved.tolist() == [[frame, joint] for frame in frames for joint in joints]


def test_bias_goes_by_frames_or_as_released_by_tokens():
    released, paper = (
        PartitionAttention(2, 3, far_frames=False, far_tokens=False, bias_over_frames=over) for over in (False, True)
    )
    with torch.no_grad():
        for each in (released, paper):
            each.bias.copy_(torch.tensor([-1.0, 0.0, 1.0])[:, None].expand_as(each.bias))
    place = torch.arange(6)
    assert torch.equal(released.biases()[0], (place % 2)[:, None] - (place % 2) + 0.0)
    assert torch.equal(paper.biases()[0], (place // 3)[:, None] - (place // 3) + 0.0)
