"""Computes an exported network with ONNX Runtime."""

import json
from typing import Any

import numpy as np

from danet.clips.sequences import ClipBatch
from danet.errors import UserError
from danet.models.description import check_format

INPUTS = {"channels": [0], "joints": [0], "share": [0, 1], "own": [0], "other": [0]}  # and their axes of any size
PROBABILITIES, ATTENTION = "probabilities", "joint_attention"  # the outputs; the second of a network with maps only


class OnnxBackend:
    """What `danet export onnx` wrote. Errors: UserError for any other file."""

    def __init__(self, content: bytes, where: str):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            self.description: dict[str, Any] = json.loads(self.session.get_modelmeta().custom_metadata_map["danet"])
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            got = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            raise UserError(f"{where}: expected a network that danet exported, got {got}") from None
        check_format(self.description, where)
        self._inputs = [each.name for each in self.session.get_inputs()]
        self.outputs = [each.name for each in self.session.get_outputs()]

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs of INPUTS, in their order; a network that does not compare views is not given the second one."""
        named = dict(zip(INPUTS, inputs, strict=True))
        return self.session.run(self.outputs, {name: named[name] for name in self._inputs})

    def classify(self, batch: ClipBatch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As `danet.inference.fusion.Backend` says."""
        share = (batch.owner == np.arange(batch.samples)[:, None]).astype(np.float32)
        share /= share.sum(axis=1, keepdims=True)
        outputs = self.run(batch.channels, batch.joints, share, own, other)
        return outputs[0], outputs[1] if ATTENTION in self.outputs else None
