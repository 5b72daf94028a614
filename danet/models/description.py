"""What a trained network says of itself, in its weights and in an exported file; read without torch."""

from collections.abc import Mapping
from typing import Any

from danet.errors import UserError

FORMAT = 2  # rises when what was written before can no longer be read


def check_format(description: Mapping[str, Any], where: str) -> None:
    """Errors: UserError for a network that was written by another version of danet."""
    if (written := description.get("format", 1)) != FORMAT:
        advice = "train it anew" if written < FORMAT else "update danet"
        raise UserError(f"{where}: expected a network of format {FORMAT}, got format {written}; {advice}")
