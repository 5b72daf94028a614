"""Parts of a protocol against each other: what each holds, and test samples that are copies of training samples."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from danet.cli import main
from danet.config.settings import Split
from danet.datasets.ntu import NTU60
from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.uestc import UESTC
from danet.errors import UserError
from danet.io.store import open_records, write_records
from danet.preparation.coverage import actions_of, coverage, of_each_protocol
from danet.preparation.split import copies_of_training, read_split, refuse_leaks, split
from danet.skeleton.recording import Sequence


def test_refuse_leaks_names_a_test_sample_that_copies_a_training_sample(tmp_path):
    sequences = [Sequence(f"{name}", np.ones((2, 1, 25, 3), np.float32), content=7) for name in ("a", "b", "c")]
    write_records(tmp_path / "x.h5", "centred", (s.to_record() for s in sequences), {})
    with open_records(tmp_path / "x.h5", "centred") as records:
        parts = {"a": "train", "b": "test"}
        assert copies_of_training(records, parts) == {"b": "a"}
        with pytest.raises(UserError, match="b, a copy of a"):
            refuse_leaks(records, parts, UESTC)
        refuse_leaks(records, parts, NW_UCLA)
        refuse_leaks(records, {"a": "train", "b": "validation", "c": ""}, UESTC)


def ntu_names(*of):
    """Recordings of action, camera and performer."""
    return [f"S001C{camera:03}P{performer:03}R001A{action:03}" for action, camera, performer in of]


def covered(names, **settings):
    table = split(NTU60, "cross_view", names, Split(**settings))
    return coverage(NTU60, actions_of(NTU60, names), table)


def test_coverage_is_one_line_of_facts():
    names = ntu_names((1, 1, 1), (1, 2, 1), (1, 3, 1), (2, 1, 1), (2, 2, 2), (2, 2, 3)) + ["notes"]
    facts = covered(names, validation_share=0)
    assert str(facts) == (
        "6 of 56,578 recordings, 2 of 60 actions, training samples 2 an action, test samples 1 an action"
    )
    assert (facts.is_part, facts.lacking, facts.doubtful) == (True, [], True)
    held_out = covered(names, validation_share=0.1)
    assert "training samples 1 to 2 an action" in str(held_out), "those to validate are not trained on"


def test_coverage_names_actions_that_are_not_trained_on_or_not_tested():
    tested = [(action, 1, 1) for action in range(1, 9)]
    facts = covered(ntu_names(*tested, (9, 2, 1), (8, 2, 1)), validation_share=0)
    first, second = facts.lacking
    named = ", ".join(NTU60.actions[:5])
    assert first == f"without a training sample, though tested: {named} and 2 more"
    assert second == f"without a test sample, though trained on: {NTU60.actions[8]}"
    assert str(facts).endswith(f"an action; {first}; {second}")


@pytest.mark.parametrize("camera", [1, 2])
@pytest.mark.parametrize("share", [0, 0.1])
def test_split_refuses_a_protocol_without_training_or_test_samples(camera, share):
    names = ntu_names((1, camera, 1), (2, camera, 2))
    got = "0 and 2" if camera == 1 else "2 and 0"
    message = f"^ntu60/cross_view: expected training and test samples, got {got} in 2 recordings$"
    with pytest.raises(UserError, match=message):
        split(NTU60, "cross_view", names, Split(validation_share=share))
    assert of_each_protocol(NTU60, names)["cross_view"] == message.strip("^$")


def test_split_refuses_a_training_part_that_is_all_left_out():
    with pytest.raises(UserError, match="got 0 and 1 in 2 recordings"):
        split(NTU60, "cross_view", ntu_names((1, 1, 1), (1, 2, 1)), Split(leave_out=("*",)))


def test_split_command_prints_what_the_parts_hold(tmp_path, monkeypatch, capsys):
    (tmp_path / "names.txt").write_text("\n".join(ntu_names((1, 1, 1), (1, 2, 1), (1, 2, 2))))
    words = ["--names", str(tmp_path / "names.txt"), "--out", str(tmp_path / "x.parquet")]
    monkeypatch.setattr(sys, "argv", ["danet", "split", "ntu60", "cross_view", *words])
    with pytest.raises(SystemExit, match="0"):
        main()
    facts = "3 of 56,578 recordings, 1 of 60 actions, training samples 1 an action, test samples 1 an action"
    assert json.loads(capsys.readouterr().out) == {"train": 1, "validation": 1, "test": 1, "coverage": facts}


@pytest.mark.parametrize(
    "table",
    [
        None,
        pd.DataFrame({"name": ["a"]}),
        pd.DataFrame({"name": [1], "part": ["train"]}),
        pd.DataFrame({"name": ["a"], "part": ["trian"]}),
    ],
)
def test_read_split_names_a_file_that_is_no_split(tmp_path, table):
    path = tmp_path / "split.parquet"
    if table is None:
        pd.DataFrame({"name": ["a"], "part": ["train"]}).to_parquet(path)
        path.write_bytes(path.read_bytes()[:-9])
    else:
        table.to_parquet(path)
    with pytest.raises(UserError, match=r"split\.parquet: expected ") as caught:
        read_split(path)
    assert "\n" not in str(caught.value)


def test_read_split_reads_what_was_written(tmp_path):
    table = pd.DataFrame({"name": ["a", "b"], "part": ["train", "test"]})
    table.to_parquet(tmp_path / "split.parquet")
    assert read_split(tmp_path / "split.parquet").equals(table)
