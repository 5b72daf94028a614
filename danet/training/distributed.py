"""Trains one network in several processes: each takes its share of every batch, and gradients are added up.

Gradients are added over NCCL between GPUs that each process has for itself, over Gloo between processors and between
processes that share a GPU.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from danet.errors import UserError

GRACE_SECONDS = 5  # for a process to end, once an exchange with it has failed


def rank_and_world_size() -> tuple[int, int]:
    """Which of how many processes this one is: (0, 1) when it works alone."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def all_reduce_sum(tensors: Sequence[Tensor]) -> None:
    """Each tensor becomes the sum over all processes, in one exchange. Nothing happens when there is one only."""
    if rank_and_world_size()[1] == 1:
        return
    flat = torch.cat([tensor.detach().float().reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def broadcast_from_rank0(tensor: Tensor) -> Tensor:
    """What the first process holds, in every process."""
    if rank_and_world_size()[1] > 1:
        distributed.broadcast(tensor, 0)
    return tensor


def launch(processes: int, function: Callable[..., None], **arguments: Any) -> None:
    """Calls the function in that many processes, of which this is the first; its arguments must be picklable.

    Errors: UserError when another process ends badly, which fails the next exchange with it; else those of the function
    in this process.
    """
    if processes == 1:
        function(**arguments)
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        helpers = [
            context.Process(target=_join, args=(rank, processes, meeting, function, arguments), daemon=True)
            for rank in range(1, processes)
        ]
        for helper in helpers:
            helper.start()
        try:
            _join(0, processes, meeting, function, arguments)
            for helper in helpers:
                helper.join()
        except RuntimeError as error:  # which is what torch raises when an exchange fails
            for helper in helpers:
                helper.join(GRACE_SECONDS / len(helpers))
            _refuse_lost(helpers, error)
            raise
        finally:
            for helper in helpers:
                helper.terminate()
                helper.join()
    _refuse_lost(helpers)


def _refuse_lost(helpers: Sequence[BaseProcess], cause: Exception | None = None) -> None:
    """Errors: UserError, with its cause, when one of the helpers has ended badly."""
    lost = [f"process {rank} ended with {helper.exitcode}" for rank, helper in enumerate(helpers, 1) if helper.exitcode]
    if lost:
        expected = f"expected {len(helpers) + 1} processes to end well"
        hint = "what a process says of itself stands above; -9: killed, mostly for want of memory"
        raise UserError(f"{expected}, got: {', '.join(lost)} ({hint})") from cause


def _join(rank: int, processes: int, meeting: Path, function: Callable[..., None], arguments: dict) -> None:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.device_count() >= processes else "gloo"
    distributed.init_process_group(backend, init_method=meeting.as_uri(), rank=rank, world_size=processes)
    try:
        function(**arguments)
    except UserError as error:
        if rank == 0:
            raise
        raise SystemExit(f"danet: process {rank}: {error}") from None  # a line, and no traceback
    finally:
        distributed.destroy_process_group()
