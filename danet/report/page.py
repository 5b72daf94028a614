"""Folders of runs and of prepared data in; index.html, tables/*.csv, tables/*.md and figures/*.svg out."""

from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from danet.io.files import write_text
from danet.report import preparation as dropped
from danet.report import sections
from danet.report.reading import read_published
from danet.report.runs import Group, Preparation, read_ablation, read_costs, read_groups, read_preparation


def render(
    run_folders: Sequence[Path],
    preparation_folders: Sequence[Path],
    published: Path,
    out: Path,
    ablation_folders: Sequence[Path] = (),
    costs: Sequence[Path] = (),
    combined_folders: Sequence[Path] = (),
) -> None:
    """Writes the report on these runs and preparations into the folder `out`; index.html last.

    `published` is the CSV of other methods' figures, `combined_folders` hold what `combine` made of folds. The same
    input gives the same bytes. Errors: UserError naming the file that is missing or wrong; nothing is written then.
    """
    preparations = [read_preparation(Path(folder)) for folder in preparation_folders]
    preparations.sort(key=lambda preparation: (preparation.simulated, preparation.dataset))
    groups = read_groups(run_folders, preparations, combined_folders)
    ablation = read_ablation(ablation_folders)
    measured = read_costs(costs)
    figures = read_published(Path(published))
    files: sections.Files = {}
    context = {
        "sets": data_sets(groups, preparations),
        "summary": sections.summary(groups, figures, files),
        "ablation": sections.ablation_section(ablation, files),
        "cost": sections.cost_section(measured, files),
        "groups": [sections.group_section(group, files) for group in groups],
        "preparations": [sections.preparation_section(preparation, files) for preparation in preparations],
        "reproduce": sections.reproduce(groups, files),
    }
    sections.keep(files, "preparation", dropped.totals(preparations))
    html = environment().get_template("page.html").render(context)
    for name, text in files.items():
        write_text(Path(out) / name, text)
    write_text(Path(out) / "index.html", html)


def data_sets(groups: Sequence[Group], preparations: Sequence[Preparation]) -> list[dict]:
    """Title of each data set on the page, and whether any of its recordings is simulated."""
    found: dict[str, dict] = {}
    titles = [(group.dataset, group.runs[0].about.title, group.simulated) for group in groups]
    for name, title, simulated in [*titles, *((p.dataset, p.title, p.simulated) for p in preparations)]:
        entry = found.setdefault(name, {"name": name, "title": title, "simulated": False})
        entry["simulated"] |= simulated
    return list(found.values())


def environment() -> Environment:
    """Templates of this folder; everything put into them is escaped."""
    return Environment(
        loader=PackageLoader("danet.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
