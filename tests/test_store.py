"""Records come back as they went in; a file is there whole or not at all."""

import numpy as np
import pytest

from danet.errors import UserError
from danet.io.store import open_records, write_records
from danet.skeleton.recording import Bodies, Sequence


def sequences(rng, count=5):
    return [Sequence(f"s{i}", rng.normal(size=(i + 1, 1 + i % 2, 25, 3)).astype(np.float32)) for i in range(count)]


def test_records_give_back_sequences(rng, tmp_path, monkeypatch):
    monkeypatch.setattr("danet.io.store.FLUSH_ROWS", 4)  # several flushes and several blocks
    written = sequences(rng)
    assert write_records(tmp_path / "a.h5", "centred", (s.to_record() for s in written), {"layout": "x"}) == 5
    with open_records(tmp_path / "a.h5", "centred") as records:
        read = [Sequence.from_record(record) for record in records]
        assert records.about == {"layout": "x"}
    assert [s.name for s in read] == [s.name for s in written]
    for sequence, original in zip(read, written, strict=True):
        np.testing.assert_array_equal(sequence.joints, original.joints)


def test_records_give_back_64_bit_ids(make_bodies, tmp_path):
    bodies = make_bodies({72057594037931101: [0, 2], 72057594037931103: [1, 2]}, frames=4)
    write_records(tmp_path / "b.h5", "bodies", [bodies.to_record()], {})
    with open_records(tmp_path / "b.h5", "bodies") as records:
        (bodies,) = (Bodies.from_record(record) for record in records)
    assert set(bodies.body.tolist()) == {72057594037931101, 72057594037931103}
    assert bodies.frames == 4


def test_data_hash_follows_the_contents(rng, tmp_path):
    def digest(name, written):
        write_records(tmp_path / name, "centred", (s.to_record() for s in written), {})
        with open_records(tmp_path / name, "centred") as records:
            return records.data_hash

    same = sequences(rng)
    assert digest("a", same) == digest("b", same)
    changed = [*same[:-1], Sequence("s4", same[-1].joints + 1)]
    assert digest("c", changed) != digest("a", same)


def test_write_records_leaves_nothing_half_written(rng, tmp_path):
    def failing():
        yield sequences(rng)[0].to_record()
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        write_records(tmp_path / "a.h5", "centred", failing(), {})
    assert list(tmp_path.iterdir()) == []


def test_open_records_refuses_other_files(rng, tmp_path):
    write_records(tmp_path / "a.h5", "actors", (s.to_record() for s in sequences(rng)), {})
    (tmp_path / "b.h5").write_text("no HDF5")
    for name, message in (("a.h5", "got kind 'actors'"), ("b.h5", "kind 'centred'"), ("c.h5", "kind 'centred'")):
        with pytest.raises(UserError, match=message), open_records(tmp_path / name, "centred"):
            pass


def test_write_records_takes_no_record(tmp_path):
    assert write_records(tmp_path / "a.h5", "centred", [], {}) == 0
    with open_records(tmp_path / "a.h5", "centred") as records:
        assert list(records) == []
