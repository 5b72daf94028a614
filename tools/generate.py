"""Writes what follows from the settings' code: the schema that editors check config.yaml with, and docs/settings.md."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from danet.config.networks import NETWORKS, name_of
from danet.config.settings import Config, Run

ROOT = Path(__file__).parents[1]
INTRODUCTION = """# Settings

Every setting of `config/config.yaml`, with its default. What a file leaves out keeps its default; a name that is not
known is refused. `datasets` changes `seeds`, `split`, `clips`, `model`, `train`, `evaluate` or `attention` for one data
set:

```yaml
datasets:
  nw_ucla:
    seeds: [0, 1, 2, 3, 4]
    train: {epochs: 60}
```

This page is made from `danet/config/settings.py` by `make docs`.
"""


KEYWORDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


def schema() -> str:
    """The JSON schema of config.yaml."""
    return json.dumps(_in_keywords(Config.model_json_schema()), indent=2) + "\n"


def _in_keywords(part: Any) -> Any:
    """The same with JSON schema's keywords for bounds, which pydantic does not use beside a validator of ours."""
    if isinstance(part, list):
        return [_in_keywords(each) for each in part]
    if not isinstance(part, dict):
        return part
    is_type = isinstance(part.get("type"), str)
    return {KEYWORDS.get(key, key) if is_type else key: _in_keywords(value) for key, value in part.items()}


def settings_page() -> str:
    """A table for the top level and for each group of settings."""
    return INTRODUCTION + _table("", Config)


def _table(title: str, kind: type[BaseModel]) -> str:
    groups, rows = [], []
    for name, field in kind.model_fields.items():
        if field.annotation is Run.model_fields["model"].annotation:
            groups += [(f"{name}: {{name: {name_of(network)}}}", network) for network in NETWORKS]
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            groups.append((name, field.annotation))
        else:
            default = json.dumps(field.get_default(call_default_factory=True))
            rows.append(f"| `{name}` | `{default}` | {field.description} |")
    heading = f"\n## `{title}`\n\n{(kind.__doc__ or '').strip()}\n" if title else ""
    table = "\n".join(["", "| setting | default | meaning |", "|---|---|---|", *rows, ""])
    return heading + table + "".join(_table(name, inner) for name, inner in groups)


if __name__ == "__main__":
    (ROOT / "workflow/schemas/config.schema.json").write_text(schema(), encoding="utf-8")
    (ROOT / "docs/settings.md").write_text(settings_page(), encoding="utf-8")
