"""Attention drawn on skeletons, against maps written here by hand."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from made_runs import PUBLISHED, make_attention, make_run

from danet.report.page import render


def test_attention_is_drawn_where_it_lies(tmp_path):
    runs = [make_run(tmp_path / "results", seed=seed) for seed in (0, 1)]
    render(runs, [], PUBLISHED, tmp_path / "report")
    tables_folder = tmp_path / "report/tables"
    agreed = pd.read_csv(tables_folder / "demo--cross_view--attention-agreement.csv").iloc[0]
    assert (agreed["correlation"], agreed["other_actions"], agreed["seeds"]) == (0.75, 0.25, 2)
    shares = pd.read_csv(tables_folder / "demo--cross_view--attention.csv")
    assert shares.groupby("kind")["share"].max().to_dict() == pytest.approx({"space": 0.24, "time": 0.75})
    figures = tmp_path / "report/figures"
    stem = "demo--cross_view--attention-script-alert-1-script"
    moving = ET.parse(figures / f"{stem}-moving.svg").getroot()
    circles = [element for element in moving if element.tag.endswith("circle")]
    assert len(circles) == 2 * 25
    radii = [{each.get("attributeName"): each.get("values").split(";") for each in circle}["r"] for circle in circles]
    assert {value for index, own in enumerate(radii) if index % 25 != 1 for value in own} == {"0.0"}
    most, late = (float(radii[1][frame]) for frame in (0, 7))
    assert most == pytest.approx(late / 3, abs=0.1), "the second half of the clip gets three times the attention"
    assert "SIMULATED" in next(element.text for element in moving if element.tag.endswith("text"))
    still = (figures / f"{stem}.svg").read_text()
    assert still.count("#2c9a4b") >= 2 * 8, "the most attended joint of each frame"
    assert "SIMULATED" in still


def test_two_samples_of_one_action_are_drawn_apart(tmp_path):
    run = make_run(tmp_path / "results")
    about = make_attention()
    second = json.loads(json.dumps(about["shown"][0]))
    second["views"][0]["name"] = "another"
    (run / "attention.json").write_text(json.dumps(about | {"shown": [*about["shown"], second]}))
    render([run], [], PUBLISHED, tmp_path / "report")
    stem = tmp_path / "report/figures/demo--cross_view--attention-script-alert-1-script"
    assert "another" in Path(f"{stem}-2.svg").read_text()
    assert "another" not in Path(f"{stem}.svg").read_text()
