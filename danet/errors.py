"""The errors a user can cause. Each is one line: file, position, what was expected and what was got."""

from dataclasses import asdict, dataclass


class UserError(ValueError):
    """Something the user can put right. The command line prints it in one line and exits with 2."""


@dataclass
class BadRecording(UserError):
    """A raw file that cannot be read, and the position in it.

    `line` and `frame` count from 1, `body` from 1 inside its frame. 0 stands where a number does not apply.
    """

    file: str
    expected: str
    got: str
    line: int = 0
    frame: int = 0
    body: int = 0

    def __post_init__(self) -> None:
        self.got = _printable(self.got)

    def __str__(self) -> str:
        position = [f"{key} {getattr(self, key)}" for key in ("line", "frame", "body") if getattr(self, key)]
        return f"{', '.join([_printable(self.file), *position])}: expected {self.expected}, got {self.got}"

    def __reduce__(self):  # so that it crosses from a worker process to its parent
        return _rebuild, (asdict(self),)


def _printable(text: str) -> str:
    """The text on one line, with what a terminal would act on spelt out."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def brief(told: object, most: int = 200) -> str:
    """A text, or an error and its kind, on one line of at most so many letters, all of which can be printed."""
    text = f"{type(told).__name__}: {told}" if isinstance(told, Exception) and not isinstance(told, UserError) else told
    line = _printable(" ".join(str(text).split()))
    return line if len(line) <= most else f"{line[: most - 3]}..."


def _rebuild(fields: dict) -> BadRecording:
    return BadRecording(**fields)
