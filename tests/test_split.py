"""Parts of a protocol against each other: test samples that are copies of training samples."""

import numpy as np
import pandas as pd
import pytest

from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.uestc import UESTC
from danet.errors import UserError
from danet.io.store import open_records, write_records
from danet.preparation.split import copies_of_training, read_split, refuse_leaks
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
