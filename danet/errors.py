"""The errors a user can cause. Each is one line: file, position, what was expected and what was got."""

import logging
import reprlib
import sys
from dataclasses import asdict, dataclass
from datetime import date

MOST_MESSAGE = 480  # characters of a whole message
MOST_PART = 200  # of what was expected or got in it
LARGEST_NUMBER = 10**40  # that is written out


class UserError(ValueError):
    """Something the user can put right. The command line prints it in one line and exits with 2.

    However long its text is and whatever it holds, `str` gives one line of at most MOST_MESSAGE characters. A longer
    one is cut in its middle: the file stands at its begin, what was got at its end.
    """

    def __str__(self) -> str:
        return one_line(super().__str__(), keep_end=True)


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
        self.expected, self.got = one_line(self.expected, MOST_PART), one_line(self.got, MOST_PART)

    def __str__(self) -> str:
        position = [f"{key} {getattr(self, key)}" for key in ("line", "frame", "body") if getattr(self, key)]
        told = f": expected {self.expected}, got {self.got}"
        where = one_line(", ".join([self.file, *position]), MOST_MESSAGE - len(told), keep_end=True)
        return where + told

    def __reduce__(self):  # so that it crosses from a worker process to its parent
        return _rebuild, (asdict(self),)


def say(text: str) -> None:
    """Says on stderr, in one line and at once, what ends nothing and must not go unseen."""
    print(f"danet: {one_line(text)}", file=sys.stderr, flush=True)


def tell(log: logging.Logger, text: str) -> None:
    """Says it, and writes it to the log."""
    say(text)
    log.warning("%s", one_line(text))


def one_line(text: str, most: int = MOST_MESSAGE, *, keep_end: bool = False) -> str:
    """The text on one line of at most `most` characters, with what a terminal would act on spelt out.

    What is longer is cut at its end, or in its middle.
    """
    line = spelt_out(text[: most + 1])
    if len(line) <= most:
        return line
    after = spelt_out(text[-most:])[-(most // 3) :] if keep_end else ""
    return f"{line[: most - 3 - len(after)]}...{after}"


def spelt_out(text: str) -> str:
    """The text, with what a terminal would act on as its escape sequence."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class _Shown(reprlib.Repr):
    """Looks at the first few items of a value only, three levels deep; speaks YAML's words, not Python's."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 3, MOST_PART, MOST_PART

    def repr_int(self, value: int, level: int) -> str:
        return repr(value) if abs(value) < LARGEST_NUMBER else "a number of more than 40 digits"

    def repr_bool(self, value: bool, level: int) -> str:
        return str(value).lower()

    def repr_NoneType(self, value: None, level: int) -> str:
        return "nothing"

    def repr_date(self, value: date, level: int) -> str:
        return value.isoformat()

    repr_datetime = repr_date

    def repr_tuple(self, value: tuple, level: int) -> str:
        return self.repr_list(list(value[: self.maxlist + 1]), level)


def shown(value: object) -> str:
    """A value as a message shows it: on one line, cut, in a time that does not grow with it."""
    return one_line(_Shown().repr(value), MOST_PART)


def brief(told: object, most: int = MOST_PART) -> str:
    """A text, or an error and its kind, on one line of at most so many letters, all of which can be printed."""
    text = f"{type(told).__name__}: {told}" if isinstance(told, Exception) and not isinstance(told, UserError) else told
    return one_line(str(text), most)


def _rebuild(fields: dict) -> BadRecording:
    return BadRecording(**fields)
