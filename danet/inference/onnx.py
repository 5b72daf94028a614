"""Computes an exported network with ONNX Runtime."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from danet.clips.sequences import ClipBatch
from danet.errors import UserError, brief
from danet.models.description import Description, read_description

INPUTS = {"channels": [0], "joints": [0], "share": [0, 1], "own": [0], "other": [0]}  # and their axes of any size
PROBABILITIES, ATTENTION = "probabilities", "joint_attention"  # the outputs; the second of a network with maps only

# Where tensors lie in an ONNX file (onnx.proto): of each message the fields that hold others, by number.
MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # the fields of a tensor whose numbers lie in another file
DEEPEST = 100  # as protobuf itself


class OnnxBackend:
    """What `danet export onnx` wrote. Errors: UserError for any other file."""

    def __init__(self, content: bytes, where: str):
        import onnxruntime

        self._where = where
        refuse_external_data(content, where)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.load_model_format", "ONNX")
        try:
            self.session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
            self.description: dict[str, Any] = json.loads(self.session.get_modelmeta().custom_metadata_map["danet"])
            inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
            self._inputs, self.outputs = ([each.name for each in arrays] for arrays in (inputs, outputs))
            shapes = {each.name: list(each.shape) for each in (*inputs, *outputs)}
        except Exception as error:  # ONNX Runtime's errors have no common class of their own
            raise UserError(f"{where}: expected a network that danet exported, got {brief(error)}") from None
        described = read_description(self.description, where)
        self._actions = len(described.actions)
        self._check_arrays(described, shapes)

    def _check_arrays(self, described: Description, shapes: dict[str, list]) -> None:
        """Errors: UserError for other inputs and outputs than those of an exported network of that description."""
        if not {*self._inputs} <= {*INPUTS}:  # what a network does not use, its file may lack
            got = brief(", ".join(self._inputs))
            raise UserError(f"{self._where}: expected inputs among {', '.join(INPUTS)}, got {got}")
        if self.outputs not in ([PROBABILITIES], [PROBABILITIES, ATTENTION]):
            expected, got = f"{PROBABILITIES}, and perhaps {ATTENTION}", brief(", ".join(self.outputs))
            raise UserError(f"{self._where}: expected outputs {expected}, got {got}")
        frames, joints = described.clips.frames, described.layout.size
        for name, place, expected_shape in (
            ("channels", slice(1, 3), [frames, joints]),
            ("joints", slice(1, None), [frames, joints, 3]),
            (PROBABILITIES, slice(1, None), [self._actions]),
        ):
            if name in shapes and (got_shape := shapes[name][place]) != expected_shape:
                raise UserError(f"{self._where}: {name}: expected axes of {expected_shape}, got {brief(got_shape)}")

    def run(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The outputs of INPUTS, in their order; a network that does not compare views is not given the second one.

        Errors: UserError when the network cannot be computed.
        """
        named = dict(zip(INPUTS, inputs, strict=True))
        try:
            return self.session.run(self.outputs, {name: named[name] for name in self._inputs})
        except Exception as error:  # as above
            raise UserError(f"{self._where}: expected a network that can be computed, got {brief(error)}") from None

    def classify(self, batch: ClipBatch, own: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """As `danet.inference.fusion.Backend` says. Errors: UserError when what comes out are no probabilities."""
        share = (batch.owner == np.arange(batch.samples)[:, None]).astype(np.float32)
        share /= share.sum(axis=1, keepdims=True)
        outputs = self.run(batch.channels, batch.joints, share, own, other)
        expected, got = (len(own), self._actions), outputs[0].shape
        if got != expected or not np.isfinite(outputs[0]).all():
            said = f"{got}" if got != expected else "numbers that are not finite"
            raise UserError(f"{self._where}: expected probabilities {expected}, got {said}")
        return outputs[0], outputs[1] if ATTENTION in self.outputs else None


def refuse_external_data(content: bytes, where: str) -> None:
    """Errors: UserError for a network whose numbers lie in other files, and for what is no ONNX file.

    ONNX Runtime would look for them in the working directory. It has no setting that forbids this, and the package
    `onnx` is not needed where a network is only used; so the file's messages are walked here.
    """
    try:
        _walk(memoryview(content), "model", 0)
    except (ValueError, IndexError) as error:
        raise UserError(f"{where}: expected a network that danet exported, got {brief(error)}") from None


def _walk(message: memoryview, kind: str, depth: int) -> None:
    """Raises ValueError where a tensor inside refers to another file, or the bytes are no such message."""
    if depth > DEEPEST:
        raise ValueError(f"messages inside one another, more than {DEEPEST} deep")
    for number, value in _fields(message):
        if kind == "tensor" and (number == EXTERNAL_DATA or (number == DATA_LOCATION and value != 0)):
            raise ValueError("one whose numbers lie in another file")
        inside = MESSAGES[kind].get(number)
        if inside is not None:
            if not isinstance(value, memoryview):
                raise ValueError(f"no ONNX file: field {number} of a {kind} is a number")
            _walk(value, inside, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a protobuf message: the number of each, and its number or its bytes."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if wire == 2:
            length, place = _varint(message, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"no ONNX file: a field of wire type {wire}")
        if length > len(message) - place:
            raise ValueError("no ONNX file, or one that is cut short")
        yield number, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """The number that starts there, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = message[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("no ONNX file: a number of more than ten bytes")
