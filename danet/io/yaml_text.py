"""Reads YAML files that people write, in bounded time and memory whatever they hold."""

from pathlib import Path
from typing import Any

import yaml

from danet.errors import UserError, shown
from danet.io.files import read_file

LARGEST_BYTES = 1 << 18
MOST_LEVELS = 32
WORDS = {"bool": "true or false", "int": "whole number", "float": "number", "timestamp": "date"}  # of YAML's tags
NO_VALUE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError)  # what PyYAML lets through


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader; it refuses aliases, which grow without end, and lists and mappings that lie too deep."""

    levels = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem=f"the alias '*{event.anchor}'", problem_mark=event.start_mark)
        if self.levels == MOST_LEVELS:
            problem = f"more than {MOST_LEVELS} levels, one inside the other"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.levels += 1
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        except NO_VALUE:
            kind = node.tag.rpartition(":")[2]
            problem = f"{shown(node.value)}, which is no {WORDS.get(kind, kind)}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def read_yaml(path: Path, what: str) -> Any:
    """The value in a YAML file. `what` is expected of it, in messages. Errors: UserError."""
    try:
        text = read_file(path, LARGEST_BYTES, what=what).decode("utf-8")
        return yaml.load(text, _Loader)  # a safe one
    except UnicodeDecodeError as error:
        told = f"a byte {error.object[error.start]:#x}, which is no UTF-8"
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        told = f"{error.problem}{line}"
    except yaml.YAMLError as error:
        told = str(error)
    raise UserError(f"{path}: expected {what}, got: {told}")
