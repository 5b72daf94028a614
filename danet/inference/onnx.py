"""A network that was exported, computed by ONNX Runtime."""

import json

import numpy as np

from danet.clips.sequences import Batch
from danet.errors import UserError

INPUTS = {"channels": [0], "joints": [0], "share": [0, 1], "own": [0], "other": [0]}  # and their axes of any size


OUTPUTS = ("probabilities", "joint_map")


class OnnxNetwork:
    """What `danet export onnx` wrote. Errors: UserError for any other file."""

    def __init__(self, content: bytes, where: str):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["danet"])
        except Exception as error:  # onnxruntime's errors have no common class of their own
            found = f"{type(error).__name__}: {' '.join(str(error).split()):.200}"
            raise UserError(f"{where}: wanted a network that danet exported, found {found}") from None

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """OUTPUTS of INPUTS, in their order."""
        return self.session.run(list(OUTPUTS), dict(zip(INPUTS, inputs, strict=True)))

    def relate(self, batch: Batch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Network` says."""
        share = (batch.owner == np.arange(batch.samples)[:, None]).astype(np.float32)
        share /= share.sum(axis=1, keepdims=True)
        probabilities, joint_map = self.run(batch.channels, batch.joints, share, own, other)
        return probabilities, joint_map
