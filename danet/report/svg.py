"""Saves Matplotlib figures as SVG text: the same bytes each time, and ids that do not clash on one page.

Ink is drawn in `currentColor`, so that one figure is readable on a light and on a dark page; text stays text.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
ET.register_namespace("", SVG)
ET.register_namespace("xlink", XLINK)

INK = "#010203"  # stands for currentColor until the figure is saved
STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "danet",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "grid.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
DARK_INK = "#1d1c1a"


@contextmanager
def style() -> Iterator[None]:
    """Within it figures are made and saved in the report's style; a name in a script without metrics is no warning."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        yield


def to_svg(figure: Figure, name: str, tooltips: Mapping[str, str] | None = None) -> str:
    """Saves a figure as SVG text.

    `name` prefixes the ids that are left; `tooltips` gives the text for the shapes whose gid is a key.
    """
    buffer = io.BytesIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, bbox_inches="tight", pad_inches=0.06, metadata=metadata)
    text = buffer.getvalue().decode().replace(INK, "currentColor")
    root = ET.fromstring(text)
    for metadata_element in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata_element)
    _add_tooltips(root, tooltips or {})
    _tidy_ids(root, name)
    root.set("color", DARK_INK)
    root.set("role", "img")
    return ET.tostring(root, encoding="unicode") + "\n"


def inlined(svg: str, label: str) -> str:
    """The figure for a place inside an HTML page: without namespaces, which HTML knows, and with a spoken name."""
    root = ET.fromstring(svg)
    root.set("aria-label", label)
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", ET.tostring(root, encoding="unicode"), count=2)


def width_pixels(svg: str) -> int:
    """The width at which the figure's text has its own size, in CSS pixels (96 an inch)."""
    points = ET.fromstring(svg).get("width", "0pt").removesuffix("pt")
    return round(float(points) * 96 / 72)


def _add_tooltips(root: ET.Element, tooltips: Mapping[str, str]) -> None:
    for element in root.iter(f"{{{SVG}}}g"):
        text = tooltips.get(element.get("id", ""))
        if text is not None:
            title = ET.Element(f"{{{SVG}}}title")
            title.text = text
            element.insert(0, title)


def _tidy_ids(root: ET.Element, name: str) -> None:
    """Prefixes the ids that are referred to, and removes the others: an id must be unique on the page."""
    used = set()
    for element in root.iter():
        for key, value in element.attrib.items():
            used.update(re.findall(r"url\(#([^)]+)\)", value))
            if key == f"{{{XLINK}}}href":
                used.add(value.removeprefix("#"))
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{name}-{own}")
        for key, value in element.attrib.items():
            if key == f"{{{XLINK}}}href":
                element.set(key, f"#{name}-{value.removeprefix('#')}")
            elif "url(#" in value:
                element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))
