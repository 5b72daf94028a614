"""What the pages in docs/ say of the code is so."""

import re
from pathlib import Path

import pytest

from danet.config.networks import NETWORKS
from danet.config.settings import Run

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
QUOTED = re.compile(r"^- `(danet/[\w/]+\.py)`: `(.+)`$", re.MULTILINE)
SETTING = re.compile(r"`(clips|model|train|split)\.(?!py`)(\w+)`")


def headings(page: Path) -> list[str]:
    """The headings of a page, as links name them."""
    outside_code = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.+)$", outside_code, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in found]


def test_method_quotes_lines_that_stand_in_the_code():
    quoted = QUOTED.findall((ROOT / "docs/method.md").read_text())
    assert len(quoted) == 12
    for path, line in quoted:
        lines = [found.split("  #")[0].strip() for found in (ROOT / path).read_text().splitlines()]
        assert line in lines, f"{path} no longer holds {line!r}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_name_settings_that_there_are(page):
    for group, name in SETTING.findall(page.read_text()):
        kinds = NETWORKS if group == "model" else (Run.model_fields[group].annotation,)
        assert any(name in kind.model_fields for kind in kinds), f"{group}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_have_rows_in_every_table(page):
    lines = [*page.read_text().splitlines(), ""]
    rules = [number for number, line in enumerate(lines) if re.fullmatch(r"\|[-:|]+\|", line)]
    assert all(lines[number + 1].startswith("|") for number in rules)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_link_to_what_is_there(page):
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        leads_to = (page.parent / target) if target else page
        assert leads_to.exists(), target
        if heading:
            assert heading in headings(leads_to), f"{target}#{heading}"
