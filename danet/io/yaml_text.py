"""Reads YAML files that people write, in bounded time and memory whatever they hold."""

from pathlib import Path
from typing import Any

import yaml

from danet.errors import UserError, shown
from danet.io.files import read_file

LARGEST_BYTES = 1 << 18
MOST_LEVELS = 32
MOST_VALUES = 100_000
WORDS = {"bool": "true or false", "int": "whole number", "float": "number", "timestamp": "date"}  # of YAML's tags
NO_VALUE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)  # what PyYAML lets through


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; it bounds how deep values lie, and how many there are with each alias written out."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.level, self.values = 0, 0
        self.values_in: dict[int, int] = {}  # a node, by its id

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        before, self.level, self.values = self.values, self.level + 1, self.values + 1
        if self.level > MOST_LEVELS:
            raise _problem(f"more than {MOST_LEVELS} levels, one inside the other", event)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self.values_in:
                raise _problem(f"the alias '*{event.anchor}' inside of what it stands for", event)
            self.values += self.values_in[id(node)]
        if self.values > MOST_VALUES:
            raise _problem(f"more than {MOST_VALUES:,} values", event)
        self.values_in.setdefault(id(node), self.values - before)
        self.level -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        except NO_VALUE:
            kind = node.tag.rpartition(":")[2]
            problem = f"{shown(node.value)}, which is no {WORDS.get(kind, kind)}"
            raise _problem(problem, node) from None


def _problem(what: str, where: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=where.start_mark)


def read_yaml(path: Path, what: str) -> Any:
    """The value in a YAML file. `what` is expected of it, in messages. Errors: UserError."""
    try:
        text = read_file(path, LARGEST_BYTES, what=what).decode("utf-8")
        return _Loader(text).get_single_data()  # type: ignore[no-untyped-call]
    except UnicodeDecodeError as error:
        told = f"a byte {error.object[error.start]:#x}, which is no UTF-8"
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        told = f"{error.problem}{line}"
    except yaml.YAMLError as error:
        told = str(error)
    except RecursionError:
        told = "aliases too deep, one inside the other"
    raise UserError(f"{path}: expected {what}, got: {told}")
