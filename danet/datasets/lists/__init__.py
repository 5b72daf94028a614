"""Plain lists that ship with the package, one entry a line."""

from importlib.resources import files


def read_list(name: str) -> tuple[str, ...]:
    """The lines of `<name>.txt` in this folder."""
    return tuple(files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8").splitlines())
