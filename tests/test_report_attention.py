"""Attention drawn on skeletons, against maps written here by hand."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from made_runs import PUBLISHED, make_attention, make_run

from danet.errors import UserError
from danet.report.page import render


def test_attention_section_draws_it_where_it_lies(tmp_path):
    runs = [make_run(tmp_path / "results", seed=seed) for seed in (0, 1)]
    render(runs, [], PUBLISHED, tmp_path / "report")
    tables_folder = tmp_path / "report/tables"
    agreed = pd.read_csv(tables_folder / "demo--cross_view--danet--attention-agreement.csv").iloc[0]
    assert (agreed["correlation"], agreed["other_actions"], agreed["seeds"]) == (0.75, 0.25, 2)
    shares = pd.read_csv(tables_folder / "demo--cross_view--danet--attention.csv")
    assert shares.groupby("kind")["share"].max().to_dict() == pytest.approx({"space": 0.24, "time": 0.75})
    figures = tmp_path / "report/figures"
    stem = "demo--cross_view--danet--attention-script-alert-1-script"
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


def test_attention_section_draws_two_samples_of_one_action_apart(tmp_path):
    run = make_run(tmp_path / "results")
    attention = make_attention()
    second = json.loads(json.dumps(attention["shown"][0]))
    second["views"][0]["name"] = "another"
    (run / "attention.json").write_text(json.dumps(attention | {"shown": [*attention["shown"], second]}))
    render([run], [], PUBLISHED, tmp_path / "report")
    stem = tmp_path / "report/figures/demo--cross_view--danet--attention-script-alert-1-script"
    assert "another" in Path(f"{stem}-2.svg").read_text()
    assert "another" not in Path(f"{stem}.svg").read_text()


def test_attention_section_draws_actions_of_long_and_like_names(tmp_path):
    """A file's name has at most 255 bytes, however long an action's is, and no file is written over another."""
    run = make_run(tmp_path / "results")
    attention = make_attention()
    actions = ["Ä" * 300, "Ä" * 301, "wave", "wave 2", "wave", "?!"]
    shown = [attention["shown"][0] | {"action": action, "performance": action} for action in actions]
    (run / "attention.json").write_text(json.dumps(attention | {"shown": shown}))
    render([run], [], PUBLISHED, tmp_path / "report")
    figures = [path for path in (tmp_path / "report/figures").glob("*--attention-*") if "moving" not in path.name]
    stills = [path for path in figures if not path.stem.endswith("-pairs")]
    assert len(stills) == len(actions)
    assert all(len(path.name.encode()) < 150 for path in figures)


def test_attention_section_is_missing_for_a_network_without_maps(tmp_path):
    """And is there for the other method of the same protocol."""
    mapped, other = (make_run(tmp_path / "results", method=method) for method in ("danet", "other"))
    nothing = {"tokens": [], "agreement": {"joints": None, "patches": None}, "shown": []}
    (other / "attention.json").write_text(json.dumps(make_attention() | nothing))
    render([mapped, other], [], PUBLISHED, tmp_path / "report")
    html = (tmp_path / "report/index.html").read_text()
    assert html.count("What the network attends to") == 1
    sections = html.split('<section id="demo--cross_view--')
    assert [section.partition('"')[0] for section in sections[1:]] == ["danet", "other"]
    assert ["What the network attends to" in section for section in sections[1:]] == [True, False]
    files = [path.name for path in (tmp_path / "report").rglob("*") if "attention" in path.name]
    assert files
    assert all(name.startswith("demo--cross_view--danet--") for name in files)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"tokens": ["only one"]}, "expected 25 joints and 1 shares"),
        ({"layout": "kinect_v1_20"}, "expected 20 joints and 25 shares"),
        ({"layout": "nonesuch"}, "nonesuch"),
    ],
)
def test_read_attention_refuses_maps_of_other_joints(tmp_path, change, told):
    run = make_run(tmp_path / "results")
    (run / "attention.json").write_text(json.dumps(make_attention() | change))
    with pytest.raises(UserError, match=rf"attention\.json: .*{told}"):
        render([run], [], PUBLISHED, tmp_path / "report")
