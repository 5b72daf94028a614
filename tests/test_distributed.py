"""Processes that work together: what they find is added up, and one that is lost is named."""

import os
import signal

import pytest
import torch

from danet.errors import UserError
from danet.training.distributed import all_reduce_sum, broadcast_from_rank0, launch, rank_and_world_size


def _sums(path) -> None:
    rank, processes = rank_and_world_size()
    assert processes == 2
    mine = torch.tensor([float(rank + 1)])
    first = broadcast_from_rank0(mine.clone())
    all_reduce_sum([mine])
    (path / str(rank)).write_text(f"{mine.item()} {first.item()}")


def _lose(rank: int, how: str) -> None:
    if rank_and_world_size()[0] == rank:
        if how == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise (UserError if how == "refuses" else ValueError)("a batch that cannot be read")
    all_reduce_sum([torch.zeros(1)])


def test_launch_has_processes_sum_up_and_share(tmp_path):
    launch(2, _sums, path=tmp_path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == dict.fromkeys("01", "3.0 1.0")


@pytest.mark.parametrize(("how", "code"), [("killed", -9), ("raises", 1)])
def test_launch_names_a_lost_process(how, code):
    with pytest.raises(UserError, match=rf"expected 2 processes to end well, got: .*process 1 ended with {code}\b"):
        launch(2, _lose, rank=1, how=how)


def test_launch_has_a_helper_tell_a_users_error_in_one_line(capfd):
    with pytest.raises(UserError, match=r"got: process 1 ended with 1\b"):
        launch(2, _lose, rank=1, how="refuses")
    told = capfd.readouterr().err
    assert "danet: process 1: a batch that cannot be read\n" in told
    assert "Traceback" not in told


def test_launch_leaves_an_error_of_this_process_as_it_is():
    with pytest.raises(ValueError, match="a batch that cannot be read"):
        launch(2, _lose, rank=0, how="raises")
