"""SGN: whose frames it sees, and over which actions its target is smoothed."""

import pytest
import torch
from torch.nn import functional as F

from danet.config.clips import ClipSettings
from danet.config.networks import SGNSettings
from danet.models.base import ClipTensors
from danet.models.sgn import SGN, in_turns
from danet.skeleton.layout import KINECT_V1

ACTIONS, FRAMES = 4, 6


def make_model() -> SGN:
    torch.manual_seed(0)
    clips = ClipSettings(frames=FRAMES, streams=("joint",))
    return SGN(settings=SGNSettings(dropout=0), layout=KINECT_V1, clips=clips, actions=ACTIONS)


def test_actors_take_turns_and_nobody_has_none():
    clips = torch.randn(3, 3, FRAMES, KINECT_V1.size, 2)
    clips[1, ..., 1] = 0
    clips[2] = 0
    clips[0, :, 3, :, 1] = 0  # at the origin for a moment is not absent
    seen = in_turns(clips).permute(0, 3, 1, 2)
    assert torch.equal(seen[0], torch.stack([clips[0, :, frame, :, frame % 2] for frame in range(FRAMES)], dim=1))
    assert torch.equal(seen[1], clips[1, ..., 0])
    assert not seen[2].any()


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_target_is_smoothed_over_the_other_actions(share):
    model, joints, labels = make_model(), torch.randn(2, FRAMES, KINECT_V1.size, 3), torch.tensor([1, 3])
    clips = ClipTensors(joints, joints, torch.arange(2), 2)
    loss, logits = model.loss(clips, labels, partners=None, teacher=model, noise=None, label_smoothing=share)
    target = F.one_hot(labels, ACTIONS) * (1 - share) + (1 - F.one_hot(labels, ACTIONS)) * share / (ACTIONS - 1)
    torch.testing.assert_close(loss, -(target * logits.log_softmax(dim=1)).sum(dim=1).mean())
