"""Processes that work together: what they find is added up, and one that is lost is named."""

import os
import signal

import pytest
import torch

from danet.errors import UserError
from danet.training.distributed import add_up, place, together


def _sums(path) -> None:
    mine = torch.tensor([float(place()[0] + 1)])
    add_up([mine])
    (path / str(place()[0])).write_text(str(mine.item()))


def _lose(rank: int, how: str) -> None:
    if place()[0] == rank:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("a batch that cannot be read")
    add_up([torch.zeros(1)])


def test_what_each_finds_is_added_up(tmp_path):
    together(2, _sums, path=tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys("01", "3.0")


@pytest.mark.parametrize(("how", "code"), [("killed", -9), ("raises", 1)])
def test_a_lost_process_is_named(how, code):
    with pytest.raises(UserError, match=rf"wanted 2 processes to end well, found: .*process 1 ended with {code}\b"):
        together(2, _lose, rank=1, how=how)


def test_an_error_of_this_process_stays_what_it_is():
    with pytest.raises(ValueError, match="a batch that cannot be read"):
        together(2, _lose, rank=0, how="raises")
