"""Several processes that train one network: each takes its share of every step, and what they find is added up.

Gradients are added over NCCL between GPUs, over Gloo between processors.
"""

import multiprocessing
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed

from danet.errors import UserError


def place() -> tuple[int, int]:
    """Which of how many processes this one is: (0, 1) when it works alone."""
    if not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def add_up(tensors: Sequence[Tensor]) -> None:
    """Each tensor becomes the sum over all processes, in one exchange. Nothing happens when there is one only."""
    if place()[1] == 1:
        return
    flat = torch.cat([tensor.detach().float().reshape(-1) for tensor in tensors])
    distributed.all_reduce(flat)
    for tensor, summed in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def as_the_first(tensor: Tensor) -> Tensor:
    """What the first process holds, in every process."""
    if place()[1] > 1:
        distributed.broadcast(tensor, 0)
    return tensor


def together(processes: int, function: Callable[..., None], **arguments: Any) -> None:
    """Calls the function in that many processes, of which this is the first; its arguments must be picklable.

    Errors: those of the function in this process, torch's when an exchange with a process that was lost fails;
    UserError when another process ends badly and this one well.
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
        finally:
            for helper in helpers:
                helper.terminate()
                helper.join()
    if any(helper.exitcode for helper in helpers):
        codes = ", ".join(str(helper.exitcode) for helper in helpers)
        raise UserError(f"wanted {processes} processes to end well, found exit codes {codes}")


def _join(rank: int, processes: int, meeting: Path, function: Callable[..., None], arguments: dict) -> None:
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, init_method=meeting.as_uri(), rank=rank, world_size=processes)
    try:
        function(**arguments)
    finally:
        distributed.destroy_process_group()
