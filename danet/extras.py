"""What the extra `train` of the package brings: where it is absent, one line says what to install."""

from collections.abc import Iterator
from contextlib import contextmanager

from danet.errors import UserError

TRAIN = frozenset({"torch", "safetensors", "onnx", "onnxscript"})


@contextmanager
def train_extra(purpose: str, otherwise: str = "") -> Iterator[None]:
    """Surrounds what imports a package of the extra. Errors: UserError where that package is absent."""
    try:
        yield
    except ModuleNotFoundError as error:
        absent, _, _ = (error.name or "").partition(".")
        if absent not in TRAIN:
            raise
        raise UserError(f"expected {absent} to {purpose}, got none: pip install 'danet[train]'{otherwise}") from None
