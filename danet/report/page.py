"""Renders the report: index.html, tables/*.csv, tables/*.md and figures/*.svg."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from danet.datasets.dataset import Dataset
from danet.datasets.registry import known_datasets
from danet.io.files import write_text
from danet.report import preparation as preparation_tables
from danet.report import sections
from danet.report.leaderboard import leaderboard
from danet.report.leaderboard import section as leaderboard_section
from danet.report.reading import read_published, read_repeated
from danet.report.runs import Group, Preparation, read_costs, read_groups, read_metrics, read_preparation


def render(
    run_folders: Sequence[Path],
    preparation_folders: Sequence[Path],
    published: Path,
    out: Path,
    *,
    averaged_folders: Sequence[Path] = (),
    ensemble_folders: Sequence[Path] = (),
    ablation_folders: Sequence[Path] = (),
    costs: Sequence[Path] = (),
    repeated: Path | None = None,
    datasets: Mapping[str, Dataset] | None = None,
) -> None:
    """Writes the report on these runs and preparations into the folder `out`; index.html last.

    `published` is the CSV of other methods' figures, `repeated` that of what others could repeat. `averaged_folders`
    hold the average over folds. Without `datasets` they are those that are known. The same input gives the same bytes.
    Errors: UserError naming the file that is missing or wrong; nothing is written then.
    """
    datasets = known_datasets() if datasets is None else datasets
    titles = {name: dataset.title for name, dataset in datasets.items()}
    preparations = [read_preparation(Path(folder), datasets) for folder in preparation_folders]
    preparations.sort(key=lambda preparation: (preparation.simulated, preparation.dataset))
    groups = read_groups(run_folders, preparations, averaged_folders, datasets)
    averaged, ensembles, ablation = (
        read_metrics(folders) for folders in (averaged_folders, ensemble_folders, ablation_folders)
    )
    measured = read_costs(costs)
    figures, trials = read_published(Path(published)), read_repeated(repeated)
    ranked = leaderboard(groups, [*averaged, *ensembles], measured, figures, trials, titles)
    files: sections.Files = {}
    context = {
        "sets": data_sets(groups, preparations),
        "leaderboard": leaderboard_section(ranked, files),
        "summary": sections.summary(groups, ensembles, figures, titles, files),
        "ablation": sections.ablation_section(ablation, titles, files),
        "cost": sections.cost_section(measured, files),
        "groups": [sections.group_section(group, datasets, files) for group in groups],
        "preparations": [sections.preparation_section(preparation, files) for preparation in preparations],
        "reproduce": sections.reproduce(groups, files),
    }
    sections.keep(files, "preparation", preparation_tables.totals(preparations))
    html = environment().get_template("page.html").render(context)
    for name, text in files.items():
        write_text(Path(out) / name, text)
    write_text(Path(out) / "index.html", html)


def data_sets(groups: Sequence[Group], preparations: Sequence[Preparation]) -> list[dict]:
    """Title of each data set on the page, and whether any of its recordings is simulated."""
    listed: dict[str, dict] = {}
    titles = [(group.dataset, group.runs[0].record.title, group.simulated) for group in groups]
    for name, title, simulated in [*titles, *((p.dataset, p.title, p.simulated) for p in preparations)]:
        entry = listed.setdefault(name, {"name": name, "title": title, "simulated": False})
        entry["simulated"] |= simulated
    return list(listed.values())


def environment() -> Environment:
    """Templates of this folder; everything put into them is escaped."""
    return Environment(
        loader=PackageLoader("danet.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
