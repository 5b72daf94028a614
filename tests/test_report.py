"""The report against numbers worked out here by hand, from small result folders with hostile names in them."""

import json
import re
import statistics
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from made_runs import (
    ACTIONS,
    EVIL,
    LABELS,
    PREDICTIONS,
    PUBLISHED,
    TOP1,
    VIEWS,
    edit_record,
    make_preparation,
    make_run,
    make_split,
)

from danet.datasets.registry import DATASETS
from danet.errors import UserError
from danet.report import preparation, protocol_tables, tables
from danet.report.html_table import duration
from danet.report.page import render
from danet.report.runs import read_groups, read_preparation


def written(out):
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


class Reader(HTMLParser):
    """Collects start tags, ids, links and the cells of each table by caption."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.links, self.rows = [], [], [], []
        self.inside = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for key, value in attrs if key == "id"]
        self.links += [value for key, value in attrs if key in ("href", "src", "xlink:href", "srcset", "action")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th", "caption"):
            self.inside = tag
            if tag != "caption":
                self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data):
        if self.inside in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.fixture
def report(tmp_path):
    results = tmp_path / "results"
    preparation = make_preparation(results, aside=1)
    runs = [make_run(results, seed=seed) for seed in (2, 0, 1)]
    render(runs, [preparation], PUBLISHED, tmp_path / "report")
    return tmp_path / "report"


def test_accuracy_is_mean_and_deviation_over_seeds(report):
    row = pd.read_csv(report / "tables/accuracy.csv").iloc[0]
    assert row["seeds"] == 3
    assert row["top1_mean_percent"] == pytest.approx(statistics.mean(TOP1.values()))
    assert row["top1_deviation_percent"] == pytest.approx(statistics.stdev(TOP1.values()))
    assert row["epoch_chosen_by"] == "validation"
    shown = f"{statistics.mean(TOP1.values()):.1f} ± {statistics.stdev(TOP1.values()):.1f}"
    shown += f" [{row['top1_low_percent']:.1f}, {row['top1_high_percent']:.1f}]"
    rows = Reader((report / "index.html").read_text()).rows
    cells = [row for row in rows if row[:3] == ["Simulated demo", "cross_view", "danet"]]
    assert cells[1][3:6] == [shown, "100.0 ± 0.0", "3"], "below the leaderboard"


def test_report_holds_a_row_and_a_section_of_each_method(tmp_path):
    """Methods stand in the order in which they are given, and are told apart by table, by section and by link."""
    runs = [make_run(tmp_path, method=method, seed=seed) for method in ("wide", "danet") for seed in (0, 1)]
    runs.append(make_run(tmp_path, method="wide", seed=2))
    render(runs, [], PUBLISHED, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/accuracy.csv")
    assert table[["method", "seeds"]].to_numpy().tolist() == [["wide", 3], ["danet", 2]]
    assert table["protocol"].tolist() == ["cross_view"] * 2
    own = {"wide": [TOP1[0], TOP1[1], TOP1[2]], "danet": [TOP1[0], TOP1[1]]}
    assert table["top1_mean_percent"].tolist() == pytest.approx([statistics.mean(shares) for shares in own.values()])
    html = (tmp_path / "report/index.html").read_text()
    reader = Reader(html)
    for method in own:
        assert f"demo--cross_view--{method}" in reader.ids
        assert f"#demo--cross_view--{method}" in reader.links
        assert (tmp_path / f"report/tables/demo--cross_view--{method}--per-action.csv").exists()
        assert (tmp_path / f"report/figures/demo--cross_view--{method}--confusion.svg").exists()
        assert f"snakemake results/demo/cross_view/{method}/seed0/metrics.json" in html
    assert len(reader.ids) == len(set(reader.ids))
    shown = [row[2] for row in reader.rows if row[:2] == ["Simulated demo", "cross_view"] and row[5:6] == ["3"]]
    assert shown == ["wide"]


def test_confusion_counts_every_seed_and_names_the_pairs(report):
    table = pd.read_csv(report / "tables/demo--cross_view--danet--confusion.csv")
    pairs = [pair for own in PREDICTIONS.values() for pair in zip(LABELS, own, strict=True)]
    for row in table.itertuples():
        assert row.count == pairs.count((row.label, row.prediction))
        assert row.share_percent == pytest.approx(100 * row.count / (3 * LABELS.count(row.label)))
    worst = pd.read_csv(report / "tables/demo--cross_view--danet--confused-pairs.csv").iloc[0]
    assert (worst["action"], worst["predicted_action"], worst["count"]) == ("walk", EVIL, 3)


def test_turned_is_the_mean_over_seeds(report):
    table = pd.read_csv(report / "tables/demo--cross_view--danet--turned.csv").set_index("degrees")
    assert table["top1_mean_percent"].to_dict() == {-180: 25, 0: 50, 180: 50}
    assert table["top1_deviation_percent"].to_dict() == {-180: 0, 0: 0, 180: 25}
    assert (table["samples"] == 8).all()
    assert (report / "figures/demo--cross_view--danet--turned.svg").exists()
    assert "Turned per epoch" not in (report / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("copies", [0, 3])
def test_ablation_is_compared_seed_by_seed(tmp_path, copies):
    shares = {"complete": [0.8, 0.9], "without_parts": [0.7, 0.85], "four_streams": [0.9, 0.9]}
    for method, of_seeds in shares.items():
        for seed, top1 in enumerate(of_seeds):
            apart = {"copies_of_training": copies, "top1_without_copies": top1 / 2 if copies else top1}
            folder = make_run(tmp_path, seed=seed, method=method, top1=top1, epoch=None, **apart)
            for unread in ("run.json", "scores.parquet", "history.jsonl"):
                (folder / unread).unlink()
    folders = [tmp_path / f"demo/cross_view/{method}/seed{seed}" for method in shares for seed in (0, 1)]
    render([], [], PUBLISHED, tmp_path / "report", ablation_folders=folders)
    table = pd.read_csv(tmp_path / "report/tables/ablation.csv").set_index("variant")
    assert list(table.index) == ["complete", "without parts", "four streams"]
    assert table["top1_mean_percent"].tolist() == pytest.approx([85, 77.5, 90])
    assert table["difference_points"].tolist() == pytest.approx([0, -7.5, 5])
    deviations = [statistics.stdev(difference) for difference in ([0, 0], [-10, -5], [10, 0])]
    assert table["difference_deviation_points"].tolist() == pytest.approx(deviations)
    half = 2 if copies else 1
    assert table["difference_without_copies_points"].tolist() == pytest.approx(np.array([0, -7.5, 5]) / half)
    apart = table["difference_without_copies_deviation_points"]
    assert apart.tolist() == pytest.approx(np.array(deviations) / half)
    page = (tmp_path / "report/index.html").read_text()
    assert "without parts" in page
    assert ("Without copies" in page) == bool(copies)
    assert table["simulated"].all()


def test_costs_are_those_of_each_method(tmp_path):
    cost = {"dataset": "nw_ucla", "title": "NW", "method": "danet", "simulated": False, "machine": EVIL, "threads": 2}
    cost |= {"precision": "float32", "frames": 64, "joints": 20, "people": 1, "parameters": 250282}
    cost |= {"inference_mmacs": 34.5, "training_mmacs": 138.8, "trains_a_second": 116.7, "trains_a_second_one": 21}
    cost |= {"infers_a_second": 528, "latency_median_ms": 6.9, "latency_p95_ms": 10.5, "training_gflops": 33}
    cost |= {"peak_gflops": 150, "inference_mib": 639, "training_mib": None}
    files = [tmp_path / f"{method}.json" for method in ("danet", "wide")]
    for file in files:
        file.write_text(json.dumps(cost | {"method": file.stem}))
    render([], [], PUBLISHED, tmp_path / "report", costs=files)
    page = Reader((tmp_path / "report/index.html").read_text())
    rows = [row for row in page.rows if row[:1] == ["NW"]]
    assert [row[1] for row in rows] == ["danet", "wide"]
    for row in rows:
        assert row[2:7] == ["64 frames, 20 joints, 1 person", "250,282", "34.50", "117", "528"]
        assert row[7:-1] == ["6.90", "10.50", "22.0", "", f"{EVIL}, 2 threads, float32"]
    (tmp_path / "cost.json").write_text(json.dumps(cost | {"peak_gflops": 0}))
    with pytest.raises(UserError, match="'peak_gflops': expected more than 0"):
        render([], [], PUBLISHED, tmp_path / "report", costs=[tmp_path / "cost.json"])


def test_ensembles_are_means_over_seeds(tmp_path):
    weights = {0: {"joint": 0.2, "bone": 0.8}, 1: {"joint": 0.42, "bone": 0.58}}
    folders = [
        make_run(tmp_path, seed=seed, method="both", top1=top1, members=weights[seed], member_weights="validation")
        for seed, top1 in ((0, 0.5), (1, 1.0))
    ]
    render([], [], PUBLISHED, tmp_path / "report", ensemble_folders=folders)
    (row,) = pd.read_csv(tmp_path / "report/tables/ensembles.csv").to_dict("records")
    assert (row["method"], row["top1_mean_percent"], row["seeds"], row["parameters"]) == ("both", 75, 2, 1234)
    assert row["top1_deviation_percent"] == pytest.approx(statistics.stdev([50, 100]))
    assert (row["weights"], row["weights_by"]) == ("0.31 joint, 0.69 bone", "validation")
    *_, shown = [row for row in Reader((tmp_path / "report/index.html").read_text()).rows if "both" in row]
    assert shown[:3] == ["Simulated demo", "cross_view", "both"]
    assert shown[4:6] == ["0.31 joint, 0.69 bone", "validation"]


def test_ensemble_whose_weights_were_not_written_has_none_in_its_row(tmp_path):
    """As the folds of a protocol together, each of which has weights of its own."""
    folders = [make_run(tmp_path, method="both")]
    render([], [], PUBLISHED, tmp_path / "report", ensemble_folders=folders)
    *_, shown = [row for row in Reader((tmp_path / "report/index.html").read_text()).rows if "both" in row]
    assert shown[4:6] == ["", ""]


def test_multi_view_stands_beside_each_view_alone(tmp_path):
    measured = {"performances": 3, "recordings": 8, "top1": 1.0, "top1_alone": 0.5}
    runs = [
        make_run(tmp_path, seed=0, multi_view=measured),
        make_run(tmp_path, seed=1, multi_view=measured | {"top1": 0.5}),
    ]
    render(runs, [], PUBLISHED, tmp_path / "report")
    (row,) = pd.read_csv(tmp_path / "report/tables/multi-view.csv").to_dict("records")
    assert (row["method"], row["performances"], row["recordings"]) == ("danet", 3, 8)
    assert (row["together_mean_percent"], row["alone_mean_percent"], row["seeds"]) == (75, 50, 2)
    assert row["together_deviation_percent"] == pytest.approx(statistics.stdev([50, 100]))
    assert "each alone" in (tmp_path / "report/index.html").read_text()


def test_epochs_call_the_best_on_test_no_result(tmp_path):
    def make(seed, best):
        epochs = {"last": {"epoch": 3, "top1": 0.5}, "chosen": {"epoch": 2, "top1": 0.25}}
        return make_run(tmp_path, seed=seed, epochs=epochs | {"best_on_test": {"epoch": 1, "top1": best}})

    render([make(0, 0.75), make(1, 1.0)], [], PUBLISHED, tmp_path / "report")
    (row,) = pd.read_csv(tmp_path / "report/tables/epochs.csv").to_dict("records")
    assert (row["last_mean_percent"], row["chosen_mean_percent"], row["best_on_test_mean_percent"]) == (50, 25, 87.5)
    assert row["best_on_test_deviation_percent"] == pytest.approx(statistics.stdev([75, 100]))
    assert "Best on test: NOT a result" in (tmp_path / "report/index.html").read_text()


def test_per_action_and_by_factor_are_means_over_seeds(report):
    actions = pd.read_csv(report / "tables/demo--cross_view--danet--per-action.csv").set_index("label")
    walks = [sum(p == 0 for p in own[:4]) / 4 * 100 for own in PREDICTIONS.values()]
    assert actions.loc[0, "samples"] == 4
    assert actions.loc[0, "top1_mean_percent"] == pytest.approx(statistics.mean(walks))
    assert actions.loc[0, "top1_deviation_percent"] == pytest.approx(statistics.stdev(walks))
    views = pd.read_csv(report / "tables/demo--cross_view--danet--by-view.csv", dtype={"view": str}).set_index("view")
    for view in ("1", "2"):
        own = [i for i, other in enumerate(VIEWS) if other == view]
        right = [sum(seed[i] == LABELS[i] for i in own) / len(own) * 100 for seed in PREDICTIONS.values()]
        assert views.loc[view, "top1_mean_percent"] == pytest.approx(statistics.mean(right))
    assert not (report / "tables/demo--cross_view--danet--by-setup.csv").exists()  # setup 0 throughout: there are none


def test_audit_counts_unexpected_and_missing_people(report):
    table = pd.read_csv(report / "tables/demo--audit-by-action.csv").set_index("action")
    one, two = table.loc[0], table.loc[min(DATASETS["demo"].two_person)]
    assert (one["samples"], one["lost_frames"], one["lost_frames_percent"], one["dropped_short"]) == (2, 1, 2.5, 1)
    assert (one["unexpected_second"], one["missing_second"]) == (1, 0)
    assert (two["unexpected_second"], two["missing_second"], two["dropped_noisy"]) == (0, 1, 1)
    assert (one["retimed"], two["retimed"]) == (1, 1)
    assert (one["jumping"], one["jump"], two["jumping"], two["jump"]) == (1, 0.7, 0, 0.2)
    listed = pd.read_csv(report / "tables/demo--unexpected-actors.csv")
    assert list(zip(listed["name"], listed["people"], listed["actors"], strict=True)) == [("b", 1, 2), ("d", 2, 1)]


def test_page_tells_doubts_about_the_recordings(report):
    assert (
        "<li>y points down? 1 of 4 recordings: the head is below the feet</li>" in (report / "index.html").read_text()
    )


def test_report_of_simulated_recordings_says_so_everywhere(report):
    html = (report / "index.html").read_text()
    assert "SIMULATED recordings - not a result about people" in html
    for path in (report / "tables").glob("*.csv"):
        assert pd.read_csv(path)["simulated"].all(), path.name
    for path in (report / "figures").glob("*.svg"):
        assert "SIMULATED" in path.read_text(), path.name
    reader = Reader(html)
    headings = [row for row in reader.rows if row[-1] == "Data"]
    assert len(headings) == reader.tags.count("table")
    body = [row for row in reader.rows if row[-1] != "Data" and row[0] != "Total"]
    assert {row[-1] for row in body} == {"SIMULATED"}


def test_report_escapes_every_string(report):
    html = (report / "index.html").read_text()
    assert EVIL not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert Reader(html).tags.count("script") == 1
    for path in (report / "figures").glob("*.svg"):
        ET.parse(path)
    texts = ET.parse(report / "figures/demo--cross_view--danet--confusion.svg").iter("{http://www.w3.org/2000/svg}text")
    assert set(ACTIONS) <= {text.text for text in texts}


def test_report_loads_nothing_and_links_lead_somewhere(report):
    html = (report / "index.html").read_text()
    reader = Reader(html)
    assert not re.search(r"url\((?!#)|@import|//[\w.]+\.\w+/", html)
    assert len(reader.ids) == len(set(reader.ids))
    assert len(reader.links) > 10
    for link in reader.links:
        if link.startswith("#"):
            assert link[1:] in reader.ids
        elif link != "data:,":
            assert (report / link).is_file(), link


def test_report_is_the_same_bytes_whatever_the_order(tmp_path):
    preparation = make_preparation(tmp_path / "results")
    runs = [make_run(tmp_path / "results", seed=seed) for seed in (0, 1)]
    render(runs, [preparation], PUBLISHED, tmp_path / "one")
    render(runs[::-1], [preparation], PUBLISHED, tmp_path / "two")
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_report_of_one_seed_without_validation_or_manifest(tmp_path):
    preparation = make_preparation(tmp_path / "results", "nw_ucla", aside=0, manifest=False)
    run = make_run(tmp_path / "results", "nw_ucla", validation=False)
    render([run], [preparation], PUBLISHED, tmp_path / "report")
    row = pd.read_csv(tmp_path / "report/tables/accuracy.csv").iloc[0]
    assert pd.isna(row["top1_deviation_percent"])
    assert row["epoch_chosen_by"] == "the last one"
    assert not (tmp_path / "report/tables/nw_ucla--cross_view--danet--by-view.csv").exists()
    assert "SIMULATED" not in (tmp_path / "report/index.html").read_text()


def test_compared_puts_published_figures_beside_real_results_only(tmp_path):
    runs = [make_run(tmp_path / "results", name) for name in ("nw_ucla", "demo")]
    edit_record(runs[0], fused_members=3)
    whole = make_split(tmp_path / "results", "nw_ucla", "cross_view", 1484)
    render(runs, [whole], PUBLISHED, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/nw_ucla--cross_view--danet--published.csv")
    others = pd.read_csv(PUBLISHED)["nw_ucla_cross_view"].dropna()
    assert sorted(table["top1_percent"][1:]) == sorted(others)
    assert (table["method"][0], table["models_fused"][0]) == ("danet (this page), 3 encoders", 1)
    assert table["difference_points"][1:].to_list() == pytest.approx([TOP1[0] - x for x in table["top1_percent"][1:]])
    assert table["read_in"].notna().all()
    assert not (tmp_path / "report/tables/demo--cross_view--danet--published.csv").exists()
    html = (tmp_path / "report/index.html").read_text()
    captions = re.findall(r"<caption><span>(.*?)</span></caption>", html, re.DOTALL)
    assert [caption for caption in captions if caption.startswith("All runs")] == ["All runs"]  # it holds both kinds


def report_on_a_part(tmp_path, count, **changes):
    """The words of the page on a run of NW-UCLA, of which so many recordings are there."""
    run = make_run(tmp_path / "results", "nw_ucla", **changes)
    folder = make_split(tmp_path / "results", "nw_ucla", "cross_view", count)
    if count == 1484:
        edit_record(run, counts={"train": 900, "validation": 0, "test": 495})
    render([run], [folder], PUBLISHED, tmp_path / "report")
    return " ".join((tmp_path / "report/index.html").read_text().split())


def test_report_on_a_part_has_no_published_figures_and_says_why(tmp_path):
    page = report_on_a_part(tmp_path, 118)
    title = DATASETS["nw_ucla"].title
    assert f"So none stands beside {title}, cross_view (118 of 1,484 recordings)." in page
    facts = "118 of 1,484 recordings, 10 of 10 actions, training samples 7 to 8 an action, test samples 4 an action"
    assert f'<p class="warning">What it is trained and tested on: {facts}.</p>' in page
    assert not list((tmp_path / "report").rglob("*published*"))
    assert "Minus it" not in page
    table = pd.read_csv(tmp_path / "report/tables/nw_ucla--cross_view--danet--per-action.csv")
    assert table["training_samples"].tolist() == [8, 8, 8]


def test_report_takes_a_data_set_that_could_not_be_prepared_for_a_part(tmp_path):
    page = report_on_a_part(tmp_path, 1484)
    assert "(1,395 of 1,484 samples could be prepared)." in page
    assert not list((tmp_path / "report").rglob("*published*"))


def test_report_compares_nothing_of_which_it_is_not_known_how_much_is_there(tmp_path):
    render([make_run(tmp_path, "nw_ucla")], [], PUBLISHED, tmp_path / "report")
    assert "(how much of it is there is not known)" in (tmp_path / "report/index.html").read_text()
    assert not list((tmp_path / "report").rglob("*published*"))


def test_report_says_which_training_ended_near_chance(tmp_path):
    chance = {"part": "validation", "samples": 40, "top1": 0.125, "chance": 0.1}
    page = report_on_a_part(tmp_path, 118, near_chance=chance)
    told = "seed 0 is near chance: 12.5 % of 40 validation samples labelled rightly, 10.0 % by always saying"
    assert told in page


def test_summary_names_a_protocol_without_figures_once(tmp_path):
    runs = [make_run(tmp_path, "uestc", "cross_subject", method=method) for method in ("danet", "other")]
    runs.append(make_run(tmp_path, "uestc", "arbitrary_view"))
    render(runs, [], PUBLISHED, tmp_path / "report")
    title = DATASETS["uestc"].title
    told = f"Without published figures: {title}, arbitrary_view; {title}, cross_subject."
    assert told in (tmp_path / "report/index.html").read_text()


def test_report_tells_which_samples_were_not_learnt_from(tmp_path):
    run = make_run(tmp_path / "results")
    edit_record(run, settings={"split": {"leave_out": ["a05_s04_*_v02", "<b>"]}})
    render([run], [], PUBLISHED, tmp_path / "report")
    told = "learnt from no training sample named <code>a05_s04_*_v02</code>, <code>&lt;b&gt;</code>."
    assert told in " ".join((tmp_path / "report/index.html").read_text().split())


def test_accuracy_of_folds_is_averaged_within_a_seed_first(tmp_path):
    runs = [
        make_run(tmp_path / "results", "uestc", f"cross_view_2/{fold}", seed)
        for fold, seed in (("even", 0), ("even", 1), ("odd", 0), ("odd", 1), ("odd", 2))
    ]
    shares = {0: 0.3, 1: 0.7}  # of all pairs of fold and view, which is not the mean of the folds
    averaged = [make_run(tmp_path / "whole", "uestc", "cross_view_2", seed, top1=top1) for seed, top1 in shares.items()]
    runs.append(make_run(tmp_path / "results", "uestc", "cross_view_2/even", 0, method="wide"))
    table = tables.accuracy(read_groups(runs, [], averaged)).set_index("protocol")
    row = table.loc["cross_view_2, 2 folds averaged"]
    assert row["method"] == "danet", "the other method has one fold"
    assert row["seeds"] == 2  # seed 2 lacks a fold
    assert row["top1_mean_percent"] == pytest.approx(50)
    assert row["top5_mean_percent"] == 100
    assert row["samples"] == 16


def test_by_fold_and_view_sets_each_fold_against_each_view(tmp_path):
    preparation = make_preparation(tmp_path / "results", "uestc")
    for fold, seed in (("even", 0), ("even", 1), ("odd", 2)):
        make_run(tmp_path / "results", "uestc", f"cross_view_2/{fold}", seed)
    folders = [path.parent for path in (tmp_path / "results").rglob("metrics.json")]
    render(folders, [preparation], PUBLISHED, tmp_path / "report")
    table = pd.read_csv(tmp_path / "report/tables/uestc--cross_view_2--danet--views.csv").set_index("fold")

    def share(seed, view):
        own = [a == b for a, b, at in zip(LABELS, PREDICTIONS[seed], VIEWS, strict=True) if at == view]
        return 100 * statistics.mean(own)

    assert list(table.columns) == ["1", "2", "simulated"]
    for view in ("1", "2"):
        assert table.loc["even", view] == pytest.approx((share(0, view) + share(1, view)) / 2)
        assert table.loc["odd", view] == pytest.approx(share(2, view)) == 100
    assert "top-1 % by view of the test samples" in (tmp_path / "report/index.html").read_text()


def test_report_cuts_long_lists_on_the_page_only(tmp_path):
    folder = make_preparation(tmp_path / "results", aside=250)
    render([], [folder], PUBLISHED, tmp_path / "report")
    html = (tmp_path / "report/index.html").read_text()
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt; ") == 200
    assert "The first 200 of 250 rows are shown" in html
    assert len(pd.read_csv(tmp_path / "report/tables/demo--set-aside.csv")) == 250
    assert preparation.set_aside(read_preparation(folder, DATASETS))["place"][0] == "line 12, frame 3"


def test_accuracy_has_an_interval_that_holds_the_mean(tmp_path):
    groups = read_groups([make_run(tmp_path / "results", seed=seed) for seed in (0, 1, 2)], [])
    row = tables.accuracy(groups).iloc[0]
    assert row["top1_low_percent"] < row["top1_mean_percent"] < row["top1_high_percent"]
    assert row["calibration_error_points"] == 31.25
    by_action = protocol_tables.per_action(groups[0])
    assert by_action["top1_low_percent"].tolist()[0] <= by_action["top1_mean_percent"].tolist()[0]


def test_report_has_every_table_in_markdown_too(tmp_path):
    render([make_run(tmp_path / "results")], [make_preparation(tmp_path / "results")], PUBLISHED, tmp_path / "report")
    html = (tmp_path / "report/index.html").read_text()
    linked = re.findall(r'href="(tables/[^"]+\.(?:csv|md))"', html)
    assert len([path for path in linked if path.endswith(".md")]) == html.count("<table")
    assert all((tmp_path / "report" / path).exists() for path in linked)
    lines = (tmp_path / "report/tables/demo--cross_view--danet--per-action.md").read_text().splitlines()
    assert lines[2].startswith("| Action | Samples | Top-1 %")
    assert lines[3].startswith("|---|---:|---:|")
    assert len(lines) == 4 + len(ACTIONS)
    assert r"\<script\>" in lines[5], "what a name holds stays text"
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines[2:]} == {lines[2].count("|")}


def test_robustness_is_what_is_lost_against_the_same_samples(tmp_path):
    runs = [make_run(tmp_path / "results", seed=seed) for seed in (0, 1)]
    render(runs, [], PUBLISHED, tmp_path / "report")
    row = pd.read_csv(tmp_path / "report/tables/demo--cross_view--danet--robustness.csv").iloc[0]
    assert (row["top1_mean_percent"], row["difference_points"], row["samples"]) == (31.25, -18.75, 8)
    assert (tmp_path / "report/figures/demo--cross_view--danet--robustness.svg").exists()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0.40 s"), (59.7, "1 min 00 s"), (3599.6, "1 h 00 min"), (7262, "2 h 01 min")]
)
def test_duration_is_told_in_two_units(seconds, text):
    assert duration(seconds) == text
