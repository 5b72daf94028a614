"""Hashes the code of a stage: one hash for each of our own modules that its script reaches by imports.

A comment, a docstring, a blank line or a touch changes no hash; anything that Python would run differently does.

Two are passed over. The settings reach a stage as values, which are compared by themselves. The registry imports a
network when it is asked for, so that a stage names the module of the network that it uses.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
PASSED_OVER = ("danet.config", "danet.models.registry")
DATA = {".txt", ".yaml"}  # what such a package holds beside code


def fingerprint(script: str | Path, *modules: str) -> dict[str, str]:
    """Module name to hash, for the script, for `modules`, and for all of this package that these import in turn.

    The lists and layouts that lie in an imported package have an entry each.
    """
    script = Path(script)
    hashes: dict[str, str] = {}
    waiting = [(script.name, script), *((name, path) for name in modules if (path := _module_path(name)))]
    while waiting:
        name, path = waiting.pop()
        if name in hashes or name.startswith(PASSED_OVER):
            continue
        hashes[name], imports = _read(path.read_bytes())
        waiting += [(own, place) for own in imports if (place := _module_path(own))]
        if path.name == "__init__.py":
            data = (file for file in path.parent.iterdir() if file.suffix in DATA)
            hashes |= {f"{name}/{file.name}": _hash(file.read_bytes()) for file in data}
    return dict(sorted(hashes.items()))


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=8).hexdigest()


@cache
def _read(content: bytes) -> tuple[str, tuple[str, ...]]:
    """The hash of a module, and the names that it imports, of modules or in modules; stages share most of theirs."""
    tree = ast.parse(content)
    names = _imports(tree)
    # `unparse` writes the same text on every supported Python; `dump` does not.
    return _hash(ast.unparse(_without_docstrings(tree)).encode()), names


def _imports(tree: ast.Module) -> tuple[str, ...]:
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def _module_path(name: str) -> Path | None:
    package, *rest = name.split(".")
    if package != PACKAGE.name:
        return None
    place = PACKAGE.joinpath(*rest)
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if rest and path.is_file()), None)


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree
