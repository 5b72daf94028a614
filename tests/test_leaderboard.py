"""The leaderboard against numbers worked out here by hand, and what a reader does with it."""

import re
import statistics
import xml.etree.ElementTree as ET
from html import unescape
from io import StringIO

import pandas as pd
import pytest
from made_runs import EVIL, PUBLISHED, TOP1, edit_record, make_run, make_split
from matplotlib.figure import Figure
from matplotlib.text import Text

from danet.config.networks import title_of
from danet.datasets.registry import DATASETS
from danet.errors import UserError
from danet.io.csv_text import as_csv
from danet.io.files import write_json
from danet.report.labels import name_points
from danet.report.leaderboard import leaderboard, section
from danet.report.page import render
from danet.report.reading import read_published, read_repeated
from danet.report.runs import read_costs, read_groups, read_metrics, read_preparation
from danet.report.svg import style

REPEATED = PUBLISHED.with_name("repeated.csv")
FIRST = "dataset protocol method streams recipe seeds top1_mean top1_deviation top1_without_copies parameters mmacs"
FIRST += " train_seconds train_clips_per_second infer_clips_per_second worst_turn_loss worst_corruption_loss"
FIRST += " calibration_error epoch_rule"
TEXT = "{http://www.w3.org/2000/svg}text"
OTHERS = ("published_top1", "repeated_top1")


def make(results, dataset="demo", protocol="cross_view", seed=0, *, network="danet", streams=("joint",), **changes):
    """A run of a network that sees these streams; `settings` are more of its settings."""
    settings = {"model": {"name": network}, "clips": {"streams": streams}, **changes.pop("settings", {})}
    folder = make_run(results, dataset, protocol, seed, **{"method": network, **changes})
    edit_record(folder, settings=settings)
    return folder


def make_ensemble(results, members, dataset="demo", protocol="cross_view", **changes):
    weights = {member: 1 / len(members) for member in members}
    unknown = dict.fromkeys(("epoch", "validation_top1", "turned", "calibration"))
    return make_run(
        results, dataset, protocol, members=weights, **{"method": "all", "corruptions": []} | unknown | changes
    )


def make_cost(path, dataset, method, **changes):
    cost = {"dataset": dataset, "title": "a title", "method": method, "simulated": dataset == "demo", "machine": "m"}
    cost |= {"threads": 2, "precision": "float32", "frames": 64, "joints": 20, "people": 1, "parameters": 5}
    cost |= {"inference_mmacs": 30, "training_mmacs": 138.8, "trains_a_second": 100, "trains_a_second_one": 21}
    cost |= {"infers_a_second": 400, "latency_median_ms": 6.9, "latency_p95_ms": 10.5, "training_gflops": 33}
    cost |= {"peak_gflops": 150, "inference_mib": 639, "training_mib": None}
    write_json(path / f"{dataset}-{method}.json", cost | changes)
    return path / f"{dataset}-{method}.json"


def board(runs, preparations=(), **combined):
    """The leaderboard of these runs, by method, as its CSV file has it."""
    prepared = [read_preparation(folder, DATASETS) for folder in preparations]
    costs = read_costs(combined.pop("costs", ()))
    metrics = [each for folders in combined.values() for each in read_metrics(folders)]
    others = read_published(PUBLISHED), read_repeated(REPEATED)
    table = leaderboard(read_groups(runs, prepared), metrics, costs, *others, {})
    return pd.read_csv(StringIO(as_csv(table)), dtype=dict.fromkeys(OTHERS, str)).set_index("method", drop=False)


def page_of(tmp_path, runs, **more):
    """The page on these runs."""
    render(runs, [], PUBLISHED, tmp_path / "report", repeated=REPEATED, **more)
    return (tmp_path / "report/index.html").read_text()


def test_row_of_a_method_is_the_mean_over_its_seeds(tmp_path):
    epochs = {"last": {"epoch": 3, "top1": 0.5}, "chosen": {"epoch": 2, "top1": 0.625}}
    epochs |= {"best_on_test": {"epoch": 1, "top1": 0.75}}
    changes = {
        "streams": ("joint", "bone"),
        "settings": {"recipe": "own"},
        "top1_without_copies": 0.5,
        "epochs": epochs,
    }
    runs = [make(tmp_path / "results", seed=seed, seconds=60 + seed, **changes) for seed in (0, 1)]
    table = board(runs, costs=[make_cost(tmp_path, "demo", "danet")])
    assert list(table.columns[:18]) == FIRST.split()
    (row,) = table.to_dict("records")
    expected = {"dataset": "demo", "protocol": "cross_view", "method": "danet", "streams": "joint+bone", "seeds": 2}
    expected |= {"recipe": "own", "top1_without_copies": 50, "parameters": 1234, "mmacs": 30, "train_seconds": 60.5}
    expected |= {"train_clips_per_second": 100, "infer_clips_per_second": 400, "epoch_rule": "validation"}
    expected |= {"worst_turn_loss": 25, "worst_corruption_loss": 18.75, "calibration_error": 31.25, "simulated": True}
    expected |= {"last_epoch_top1": 50, "chosen_on_validation_top1": 62.5, "best_on_test_top1": 75}
    assert {key: row[key] for key in expected} == expected
    assert row["test_choice_points"] == 12.5
    assert row["top1_mean"] == pytest.approx(statistics.mean([TOP1[0], TOP1[1]]))
    assert row["top1_deviation"] == pytest.approx(statistics.stdev([TOP1[0], TOP1[1]]))


def test_what_is_not_known_is_empty(tmp_path):
    unknown = dict.fromkeys(("turned", "calibration"))
    run = make_run(tmp_path / "results", validation=False, corruptions=[], **unknown)
    row = board([run]).loc["danet"]
    empty = [name for name in row.index if pd.isna(row[name])]
    losses = ["worst_turn_loss", "worst_corruption_loss", "calibration_error"]
    assert set(FIRST.split()) & set(empty) == {
        "streams",
        "top1_deviation",
        "top1_without_copies",
        "mmacs",
        "train_clips_per_second",
        "infer_clips_per_second",
        *losses,
    }
    assert (row["recipe"], row["epoch_rule"]) == ("shared", "last")
    assert pd.isna(row["chosen_on_validation_top1"])


def test_turns_without_one_of_nothing_tell_no_loss(tmp_path):
    turned = {"samples": 8, "degrees": [-180, 180], "top1": [0.25, 0.5]}
    assert pd.isna(board([make(tmp_path / "results", turned=turned)]).loc["danet", "worst_turn_loss"])


def test_ensemble_costs_what_its_members_cost_together(tmp_path):
    results = tmp_path / "results"
    runs = [make(results, network="sgn", streams=("joint", "bone")), make(results, network="danet")]
    edit = {"model": {"name": "danet"}, "clips": {"streams": ["bone", "distance"]}, "recipe": "own"}
    edit_record(runs[1], settings=edit)
    costs = [make_cost(tmp_path, "demo", "danet"), make_cost(tmp_path, "demo", "sgn", trains_a_second=25)]
    ensemble = make_ensemble(results, ["sgn", "danet"], parameters=2468, seconds=122.0)
    row = board(runs, costs=costs, ensembles=[ensemble]).loc["all"]
    assert (row["streams"], row["recipe"], row["epoch_rule"]) == ("joint+bone+distance", "mixed", "validation")
    assert (row["parameters"], row["train_seconds"], row["mmacs"]) == (2468, 122, 60)
    assert (row["train_clips_per_second"], row["infer_clips_per_second"]) == (20, 200)


def test_cost_of_an_ensemble_is_not_known_without_that_of_each_member(tmp_path):
    runs = [make(tmp_path / "results", network=name) for name in ("sgn", "danet")]
    ensembles = [make_ensemble(tmp_path / "results", ["sgn", "danet"])]
    ensembles.append(make_ensemble(tmp_path / "results", ["sgn", "gone"], method="half"))
    costs = [make_cost(tmp_path, "demo", "danet")]
    table = board(runs, costs=costs, ensembles=ensembles)
    rates = ["mmacs", "train_clips_per_second", "infer_clips_per_second"]
    assert table.loc["danet", rates].notna().all()
    assert table.loc[["sgn", "all", "half"], rates].isna().all(axis=None)
    assert (table.loc["all", "streams"], table.loc["half", OTHERS[0]]) == (
        "joint",
        pytest.approx(float("nan"), nan_ok=True),
    )
    assert pd.isna(table.loc["half", "streams"]), "of one member it is not known"


def test_folds_averaged_are_a_row_beside_each_fold(tmp_path):
    results = tmp_path / "results"
    runs = [make(results, "uestc", f"cross_view_2/{fold}") for fold in ("even", "odd")]
    whole = {"folds": {"even": 0.5, "odd": 0.7}, "top1": 0.6, "seconds": 122.0, "epoch": None}
    averaged = make_run(results, "uestc", "cross_view_2", **whole, turned=None)
    ensembles = [make_ensemble(results, ["danet"], "uestc", f"cross_view_2/{fold}") for fold in ("even", "odd")]
    ensembles.append(make_ensemble(results, [], "uestc", "cross_view_2", **whole))
    page_of(tmp_path, runs, averaged_folders=[averaged], ensemble_folders=ensembles)
    table = pd.read_csv(tmp_path / "report/tables/leaderboard.csv")
    name = "cross_view_2, 2 folds averaged"
    assert table["protocol"].tolist() == [*[name] * 2, *["cross_view_2/even"] * 2, *["cross_view_2/odd"] * 2]
    assert table["streams"].tolist() == ["joint"] * 6, "the folds say of what an ensemble is made"
    row = table.iloc[0]
    assert (row["method"], row["top1_mean"], row["train_seconds"], row["streams"]) == ("danet", 60, 61, "joint")
    assert row["epoch_rule"] == "validation"
    figures = sorted(path.stem for path in (tmp_path / "report/figures").glob("leaderboard*"))
    assert figures == ["leaderboard--uestc--cross_view_2"]


def test_best_of_a_protocol_stands_first(tmp_path):
    runs = [make(tmp_path / "results", "nw_ucla", method=f"seed{seed}", seed=seed) for seed in (0, 1, 2)]
    table = board([make(tmp_path / "results"), *runs])
    assert table["top1_mean"].tolist() == [*sorted(TOP1.values(), reverse=True), TOP1[0]]
    assert table["simulated"].tolist() == [False, False, False, True]


def make_nw_ucla(tmp_path, networks):
    """A run of each network on the whole of NW-UCLA."""
    runs = [make(tmp_path / "results", "nw_ucla", network=name) for name in networks]
    return runs, make_split(tmp_path / "results", "nw_ucla", "cross_view", 1484)


def test_figures_of_others_are_found_by_the_network_and_how_many_are_fused(tmp_path):
    runs, whole = make_nw_ucla(tmp_path, ["ctr_gcn", "danet", "sgn"])
    others = [make(tmp_path / "results", "nw_ucla", network="ctr_gcn", method=f"ctr{n}") for n in (1, 2, 3)]
    for run in others:
        edit_record(run, counts={"train": 990, "test": 494})
    ensembles = [
        make_ensemble(tmp_path / "results", ["ctr_gcn", "ctr1", "ctr2", "ctr3"], "nw_ucla", method="four"),
        make_ensemble(tmp_path / "results", ["ctr_gcn", "ctr1"], "nw_ucla", method="two"),
        make_ensemble(tmp_path / "results", ["ctr_gcn", "ctr1", "ctr2", "danet"], "nw_ucla", method="unlike"),
    ]
    table = board([*runs, *others], [whole], ensembles=ensembles)
    told = table.loc[:, OTHERS].fillna("")
    assert tuple(told.loc["four"]) == ("96.5", "four streams 95, 95.5")
    assert tuple(told.loc["ctr1"]) == ("", "joint 94.8, 93.53, 93.1; bone motion 89.2")
    for method in ("two", "unlike", "danet", "sgn"):
        assert tuple(told.loc[method]) == ("", ""), method


def test_no_figure_of_others_stands_beside_a_part_or_what_is_simulated(tmp_path):
    runs, _ = make_nw_ucla(tmp_path, ["ctr_gcn"])
    part = make_split(tmp_path / "results", "nw_ucla", "cross_view", 100)
    table = board([*runs, make(tmp_path / "results", network="ctr_gcn")], [part])
    assert len(table) == 2
    assert table.loc[:, OTHERS].isna().all(axis=None)


def test_published_method_of_two_networks_is_found_by_both_only():
    assert title_of(["s_tr", "t_tr"]) == "ST-TR"
    assert [title_of([name]) for name in ("s_tr", "t_tr", "st_gcn_pp")] == ["S-TR", "T-TR", "ST-GCN++"]
    assert [title_of(names) for names in (["s_tr", "sgn"], ["unheard of"], [])] == [""] * 3


def test_titles_are_those_of_the_tables():
    """Else a figure would never be found."""
    known = set(pd.read_csv(PUBLISHED)["method"]) | set(pd.read_csv(REPEATED)["method"])
    names = ("2s_agcn", "ctr_gcn", "st_gcn_pp", "dg_st_gcn", "sgn", "skateformer", "t_tr")
    assert {title_of([name]) for name in names} | {title_of(["s_tr", "t_tr"])} <= known


@pytest.mark.parametrize(("file", "column"), [("published", "nw_ucla_cross_view"), ("repeated", "repeated")])
def test_text_where_a_figure_should_be_is_an_error(tmp_path, file, column):
    paths = {"published": PUBLISHED, "repeated": REPEATED}
    frame = pd.read_csv(paths[file]).astype({column: object})
    frame.loc[3, column] = "about 90"
    paths[file] = tmp_path / f"{file}.csv"
    frame.to_csv(paths[file], index=False)
    with pytest.raises(UserError, match=rf"{file}\.csv: expected numbers in {column}, got 'about 90'"):
        render([], [], paths["published"], tmp_path / "report", repeated=paths["repeated"])


def test_table_of_repeated_figures_without_a_column_is_an_error(tmp_path):
    (tmp_path / "repeated.csv").write_text("method,repeated\n")
    with pytest.raises(UserError, match=r"repeated\.csv: expected the columns method, dataset"):
        render([], [], PUBLISHED, tmp_path / "report", repeated=tmp_path / "repeated.csv")


def test_page_opens_with_the_leaderboard(tmp_path):
    page = page_of(tmp_path, [make(tmp_path / "results"), make(tmp_path / "results", "nw_ucla")])
    assert re.findall(r'<section id="(\w+)"', page)[:2] == ["leaderboard", "summary"]
    assert re.search(r'<nav.*?<a href="#(\w+)"', page, re.DOTALL)[1] == "leaderboard"
    captions = re.findall(r"<caption><span>(Leaderboard\..*?)</span>", page)
    assert captions[0] == "Leaderboard. Real recordings"
    assert captions[1].startswith("Leaderboard. SIMULATED recordings")
    assert page.count('<table class="sortable filtered">') == 2
    assert not re.search(r"\son\w+=", page), "no handler stands in the markup"


def test_page_without_runs_has_a_leaderboard_without_rows(tmp_path):
    page = page_of(tmp_path, [])
    table = pd.read_csv(tmp_path / "report/tables/leaderboard.csv")
    assert (len(table), list(table)[:18]) == (0, FIRST.split())
    assert "There are no runs yet." in page[page.index('id="leaderboard"') : page.index('id="summary"')]


def test_names_are_text_in_table_and_figure(tmp_path):
    settings = {"recipe": f"{EVIL}\x1b[2J", "clips": {"streams": [f"={EVIL}"]}}
    runs = [make(tmp_path / "results", settings=settings), make(tmp_path / "results", method="m" * 60)]
    for run in runs:
        edit_record(run, title=EVIL)
    assert board(runs).loc["danet", "streams"] == f"'={EVIL}"
    page = page_of(tmp_path, runs)
    assert EVIL not in page
    assert f"={EVIL}" in unescape(page)
    assert "\x1b" not in page
    figure = ET.parse(tmp_path / "report/figures/leaderboard--demo--cross_view.svg")
    texts = [text.text for text in figure.iter(TEXT)]
    assert f"{EVIL}, cross_view" in texts
    assert "m" * 39 + "..." in texts


@pytest.mark.parametrize("shape", [None, [], "joint", {"streams": "joint"}, {"streams": None}])
def test_settings_of_any_shape_can_be_reported(tmp_path, shape):
    run = make(tmp_path / "results")
    edit_record(run, settings={"clips": shape, "model": shape, "recipe": None})
    row = board([run]).loc["danet"]
    assert pd.isna(row["streams"])
    assert row["recipe"] == "shared"


def drawn(runs, costs=()):
    """The texts in the leaderboard's only figure, in order; None where there is none."""
    files = {}
    section(board(runs, costs=costs).reset_index(drop=True), files)
    figures = [text for path, text in files.items() if path == "figures/leaderboard--demo--cross_view.svg"]
    return [text.text for text in ET.fromstring(figures[0]).iter(TEXT)] if figures else None


def test_figure_names_each_method_once_a_panel(tmp_path):
    names = ("danet", "sgn", "ctr_gcn")
    runs = [make(tmp_path, network=name, seconds=50.0 + 9 * i) for i, name in enumerate(names)]
    texts = drawn(runs, [make_cost(tmp_path, "demo", name, inference_mmacs=30) for name in names[:2]])
    assert [texts.count(name) for name in names] == [2, 2, 1], "the operations of one are not known"
    assert "Accuracy against cost - SIMULATED recordings" in texts


def test_figure_of_one_known_cost_has_one_panel(tmp_path):
    texts = drawn([make(tmp_path, network=name) for name in ("danet", "sgn")])
    assert texts.count("danet") == 1
    assert "training on this machine, seconds" in texts
    assert "million multiply-accumulates a clip" not in texts


def test_one_method_has_no_figure(tmp_path):
    assert drawn([make(tmp_path, seed=seed) for seed in (0, 1)]) is None
    assert drawn([make(tmp_path, network="sgn", seconds=0.0), make(tmp_path, network="s_tr", seconds=0.0)]) is None


def test_names_of_points_cover_nothing():
    """Nine points in a cluster, as networks of a kind are."""
    places = [(100 + 3 * (i % 3), 90 + 0.2 * (i // 3)) for i in range(9)]
    with style():
        figure = Figure(figsize=(4.9, 4.4))
        axes = figure.add_subplot()
        axes.plot(*zip(*places, strict=True), "o")
        axes.set(xscale="log", xlim=(10, 1000), ylim=(80, 100))
        name_points(axes, places, [f"network {i}" for i in range(9)], [0.5] * 9)
        figure.draw_without_rendering()  # puts them where they belong
        boxes = [Text.get_window_extent(text) for text in axes.texts]
        points = axes.transData.transform(places)
    assert [text.get_text() for text in axes.texts] == [f"network {i}" for i in range(9)]
    for index, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:index] + boxes[index + 1 :]) == 0
        assert not any(box.contains(*point) for point in points)
        assert axes.bbox.contains(*box.min)
        assert axes.bbox.contains(*box.max)
