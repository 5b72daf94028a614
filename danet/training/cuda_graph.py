"""Records the kernels of a step on a GPU once, and then starts all of them together (CUDA graphs).

A step of a small network is thousands of kernels, each of which takes longer to start than to compute.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from danet.device import pinned, to_device
from danet.errors import UserError

Shapes = tuple[tuple[int, ...], ...]
NOT_RECORDED = "expected a step that a GPU can record, as none is that reads a result on the processor, got"


@dataclass
class Recording:
    """The tensors that a CUDA graph reads, and, once there is one, the graph and the tensor that it writes."""

    inputs: list[Tensor]
    output: tuple[torch.cuda.CUDAGraph, Tensor] | None = None


class Replay:
    """`function` takes tensors on the device and gives one; called with arrays, this gives the same.

    `records` says whether to record. Then the first call with arrays of new shapes computes as it comes, so that
    libraries choose and allocate what they do once; the second records; from then on the recording is played, for which
    all that the function reads and writes beside its arguments has to stay where it is in memory. What is returned
    holds until the next call. Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, function: Callable[..., Tensor], device: torch.device, records: bool):
        self.function, self.device, self.records = function, device, records
        self._recordings: dict[Shapes, Recording] = {}
        self._pool = torch.cuda.graph_pool_handle() if records else None  # one is played at a time: they share memory

    def __call__(self, *arrays: np.ndarray) -> Tensor:
        """What the function gives for tensors of these values.

        Errors: UserError when the function cannot be recorded.
        """
        shapes = tuple(array.shape for array in arrays)
        if not self.records or shapes not in self._recordings:
            inputs = [to_device(array, self.device) for array in arrays]
            if self.records:
                self._recordings[shapes] = Recording(inputs)
            return self.function(*inputs)
        recording = self._recordings[shapes]
        for tensor, array in zip(recording.inputs, arrays, strict=True):
            tensor.copy_(pinned(array), non_blocking=True)
        recording.output = recording.output or self._record(recording.inputs)
        graph, output = recording.output
        graph.replay()
        return output

    def _record(self, inputs: list[Tensor]) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool):
                output = self.function(*inputs)
        except RuntimeError as error:
            cause = error.__context__ or error  # the first, which has ended the recording
            told = str(cause).partition("\n")[0]
            raise UserError(f"{NOT_RECORDED}: {told}; train.cuda_graphs: false does without") from error
        return graph, output
