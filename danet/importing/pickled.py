"""Reads a pickle as data: arrays of numbers and plain values, and nothing of it is ever run.

A pickle is a program for a small machine. What makes it dangerous is that the program may import and call any function.
The machine here has no import, and calls nothing: the few names that NumPy writes into its pickles stand for MEANINGS,
which look at their arguments and make an array from bytes. Every other name, and every opcode but those below, is
refused. Python's own unpickler, its memo and NumPy's code for pickles take no part.

Memory is bounded by the file: an opcode makes one small value or holds bytes of the file, their number is bounded, and
arrays are views of those bytes. Keys are texts: hashes of tuples deep in tuples, or of chosen numbers, have no bound.
"""

import io
import pickletools
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from danet.errors import BadRecording, brief, shown
from danet.io.files import read_file

LARGEST_BYTES = 1 << 32
MOST_OPCODES = 30_000_000  # four times those of NTU-120
EXPECTED = "a pickle of arrays and plain values"
NUMBERS = re.compile(r"[<>|=]?[fiub][1248]")
VALUES = re.compile(r"(BIN)?INT[12]?|LONG[14]?|(BIN)?FLOAT|(SHORT_)?(BIN)?(STRING|UNICODE|BYTES)8?|BYTEARRAY8")
PLAIN = frozenset(code.name for code in pickletools.opcodes if VALUES.fullmatch(code.name))  # those that push a value
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Refused(Exception):
    """What the machine does not do, in words."""


class _Name(NamedTuple):
    """A name of MEANINGS, as a value."""

    name: str


class _Kind:
    """A type of numbers; its state tells the order of its bytes."""

    def __init__(self, code: object, *_unused: object):
        if not isinstance(code, str) or not NUMBERS.fullmatch(code):
            _refuse(f"arrays of {shown(code)}")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            _refuse("a type of numbers with more to it")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array that is empty until its state is told: (version, shape, type, by column, bytes)."""

    value = np.zeros(0)

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            _refuse("an array without its shape, type and bytes")
        _, shape, kind, by_column, content = state
        self.value = _array(content, kind, shape, "F" if by_column else "C")


def _array(content: object, kind: object, shape: object, order: object = "C") -> np.ndarray:
    """A view of bytes."""
    lengths = shape if isinstance(shape, tuple) else (shape,)
    if not isinstance(content, (bytes, bytearray)) or not isinstance(kind, _Kind) or order not in ("C", "F"):
        _refuse("an array of objects, or without bytes")
    if not all(type(length) is int and 0 <= length <= LARGEST_BYTES for length in lengths) or len(lengths) > 8:
        _refuse("an array of no shape")
    if len(content) != kind.dtype.itemsize * int(np.prod(lengths, dtype=object)):
        _refuse(f"{len(content)} bytes for an array of shape {shown(shape)}")
    return np.frombuffer(content, kind.dtype).reshape(lengths, order="F" if order == "F" else "C")


def _scalar(kind: object, content: object) -> Any:
    return _array(content, kind, ())[()].item()


def _encoded(text: object, encoding: object = "latin1") -> bytes:
    """The bytes that protocols before 3 write as a text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        _refuse("a text in another encoding")
    return text.encode("latin-1")


MEANINGS: dict[str, Callable[..., Any]] = {
    **{f"{core}.multiarray._reconstruct": lambda *_: _Array() for core in ("numpy.core", "numpy._core")},
    **{f"{core}.multiarray.scalar": _scalar for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric._frombuffer": _array for core in ("numpy.core", "numpy._core")},
    "numpy.dtype": _Kind,
    "_codecs.encode": _encoded,
    "collections.OrderedDict": dict,
    "__builtin__.bytes": bytes,
}
UNCALLED = frozenset({"numpy.ndarray"})  # an argument of _reconstruct


def read_pickle(path: Path) -> tuple[Any, int]:
    """The value in a pickle, and the size of the file in bytes. Errors: BadRecording for what is no plain data."""
    refuse = partial(BadRecording, str(path))
    content = read_file(path, LARGEST_BYTES, what=EXPECTED, refuse=refuse)
    try:
        return _run(content), len(content)
    except _Refused as error:
        told = str(error)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        told = f"a damaged one: {brief(error, 80)}"
    except MemoryError:
        told = "one that does not fit into memory"
    raise BadRecording(str(path), EXPECTED, told)


def _refuse(got: str) -> NoReturn:
    raise _Refused(got)


def _run(content: bytes) -> Any:
    """The value that the opcodes leave."""
    machine = _Machine(len(content))
    for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(content))):
        if count > MOST_OPCODES:
            _refuse(f"more than {MOST_OPCODES:,} values")
        if opcode.name == "STOP":
            return _plain(machine.stack.pop())
        machine.step(opcode.name, argument)
    _refuse("one that does not end")


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, _Array) else value


class _Machine:
    """A stack, marks in it, and a memo."""

    def __init__(self, size: int):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.encoded = size  # bytes that texts may still become

    def step(self, name: str, argument: Any) -> None:
        """Does what one opcode asks for."""
        push = self.stack.append
        if isinstance(argument, int) and argument.bit_length() > 64:
            _refuse("a number of more than 64 bits")
        if name in PLAIN:
            push(argument)
        elif name in CONSTANTS:
            push(CONSTANTS[name])
        elif name in EMPTY:
            push(EMPTY[name]())
        elif name in TUPLES:
            items = self._top(TUPLES[name])
            push(tuple(items))
        elif name in ("BINPUT", "LONG_BINPUT", "PUT") and argument < 1 << 32:
            self.memo[argument] = self.stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            push(self.memo[argument])
        elif name == "GLOBAL":
            push(self._named(*argument.split(" ", 1)))
        elif name not in ("PROTO", "FRAME"):
            getattr(self, f"do_{name}", partial(_refuse, f"the opcode {name}"))()

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            _refuse("a damaged one")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def _named(self, module: object, name: object) -> _Name:
        full = f"{module}.{name}"
        if full not in MEANINGS and full not in UNCALLED:
            _refuse(f"the name {brief(full, 80)}")
        return _Name(full)

    def _since_mark(self) -> list[Any]:
        return self._top(len(self.stack) - self.marks.pop())

    def _put_in(self, items: list[Any]) -> None:
        """Puts keys and values into the dictionary on top."""
        into = self.stack[-1]
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(into) is not dict or not isinstance(key, str):
                _refuse(f"the key {shown(key)}")
            into[key] = _plain(value)

    def do_MARK(self) -> None:
        """Opens a list of arguments."""
        self.marks.append(len(self.stack))

    def do_TUPLE(self) -> None:
        """All since the mark."""
        self.stack.append(tuple(self._since_mark()))

    def do_LIST(self) -> None:
        """All since the mark."""
        self.stack.append(list(map(_plain, self._since_mark())))

    def do_DICT(self) -> None:
        """All since the mark, in turn a key and its value."""
        items = self._since_mark()
        self.stack.append({})
        self._put_in(items)

    def do_APPENDS(self) -> None:
        """All since the mark, to the list before it."""
        self._append(self._since_mark())

    def do_APPEND(self) -> None:
        """The topmost value, to the list below it."""
        self._append(self._top(1))

    def _append(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            _refuse("a damaged one")
        self.stack[-1].extend(map(_plain, items))

    def do_SETITEMS(self) -> None:
        """Keys and values since the mark."""
        self._put_in(self._since_mark())

    def do_SETITEM(self) -> None:
        """A key and its value."""
        self._put_in(self._top(2))

    def do_STACK_GLOBAL(self) -> None:
        """A name by its module."""
        self.stack.append(self._named(*self._top(2)))

    def do_REDUCE(self) -> None:
        """What a name of MEANINGS makes of its arguments."""
        name, arguments = self._top(2)
        if not isinstance(name, _Name) or name.name not in MEANINGS or not isinstance(arguments, tuple):
            _refuse(f"a call of {shown(name)}")
        if MEANINGS[name.name] in (dict, bytes) and arguments:
            _refuse(f"a call of {name.name} with arguments")
        if name.name == "_codecs.encode":
            self.encoded -= len(arguments[0])
            if self.encoded < 0:
                _refuse("a text that becomes bytes again and again")
        self.stack.append(MEANINGS[name.name](*arguments))

    def do_BUILD(self) -> None:
        """The state of an array or of a type of numbers."""
        (state,) = self._top(1)
        if not isinstance(self.stack[-1], (_Array, _Kind)):
            _refuse(f"a state of {shown(self.stack[-1])}")
        self.stack[-1].set_state(state)

    def do_POP(self) -> None:
        """Forgets the topmost value."""
        self._top(1)
