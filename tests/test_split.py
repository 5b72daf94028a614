"""Parts of a protocol against each other: test samples that are copies of training samples."""

import numpy as np
import pytest

from danet.datasets.nw_ucla import NW_UCLA
from danet.datasets.uestc import UESTC
from danet.errors import UserError
from danet.io.store import open_records, write_records
from danet.preparation.split import copies_of_training, refuse_leaks
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
