"""Records come back as they went in; a file is there whole or not at all."""

import os

import h5py
import numpy as np
import pytest
from conftest import line_about

from danet.errors import UserError
from danet.io.store import Record, open_records, write_records
from danet.preparation.centre import centre_all
from danet.preparation.peer_formats import export_sgn
from danet.skeleton.layout import KINECT_V2
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


def refused(path, kind="centred", **settings):
    """The line that says why a file is not read, to its end."""
    with pytest.raises(UserError) as caught, open_records(path, kind, **settings) as records:
        list(records)
    return line_about(path, caught.value)


def in_place_of(name, make):
    """A damage: something else of that name."""

    def damage(file, folder):
        del file[name]
        make(file, name, folder)

    return damage


def another_file(folder):
    with h5py.File(folder / "other.h5", "w") as other:
        other["joints"] = np.zeros((15, 25, 3), np.float32)
    return folder / "other.h5"


def external_link(file, name, folder):
    file[name] = h5py.ExternalLink(another_file(folder), "joints")


def soft_link(file, name, folder):
    file[name] = h5py.SoftLink("/offset")


def external_storage(file, name, folder):
    (folder / "raw").write_bytes(bytes(15 * 25 * 3 * 4))
    file.create_dataset(name, (15, 25, 3), np.float32, external=[(folder / "raw", 0, h5py.h5f.UNLIMITED)])


def virtual(file, name, folder):
    layout = h5py.VirtualLayout((15, 25, 3), np.float32)
    layout[:] = h5py.VirtualSource(another_file(folder), "joints", (15, 25, 3))
    file.create_virtual_dataset(name, layout)


def holding(value, **settings):
    return lambda file, name, folder: file.create_dataset(name, data=value, **settings)


def promised(shape, dtype, **settings):
    return lambda file, name, folder: file.create_dataset(name, shape, dtype, **settings)


def group(file, name, folder):
    file.create_group(name)


def changed(name, place, value):
    def damage(file, folder):
        file[name][place] = value

    return damage


def attribute(name, value):
    return lambda file, folder: file.attrs.update({name: value})


JOINTS = np.zeros((15, 25, 3), np.float32)
TEXT = h5py.string_dtype()
DAMAGES = {
    "external_link": in_place_of("rows/joints", external_link),
    "external_link_to_names": in_place_of("names", external_link),
    "soft_link": in_place_of("facts/bodies", soft_link),
    "external_storage": in_place_of("rows/joints", external_storage),
    "virtual": in_place_of("rows/joints", virtual),
    "compressed": in_place_of("rows/joints", holding(JOINTS, compression="gzip")),
    "rows_that_are_not_there": in_place_of("rows/joints", promised((15, 25, 3), np.float32, chunks=(5, 25, 3))),
    "names_that_are_not_there": in_place_of("names", promised((10**12,), TEXT, chunks=(1000,))),
    "offsets_that_are_not_there": in_place_of("offset", promised((10**12,), np.int64, chunks=(1000,))),
    "no_names": lambda file, folder: file.__delitem__("names"),
    "no_offset": lambda file, folder: file.__delitem__("offset"),
    "no_rows": lambda file, folder: file.__delitem__("rows"),
    "no_facts": lambda file, folder: file.__delitem__("facts"),
    "no_content": lambda file, folder: file.__delitem__("facts/content"),
    "another_field": lambda file, folder: file.create_dataset("rows/x\n\x1b[31m", data=JOINTS),
    "rows_are_data": in_place_of("rows", holding(JOINTS)),
    "joints_are_a_group": in_place_of("rows/joints", group),
    "joints_are_texts": in_place_of("rows/joints", holding(["x"] * 15)),
    "joints_are_doubles": in_place_of("rows/joints", holding(JOINTS.astype(np.float64))),
    "joints_are_flat": in_place_of("rows/joints", holding(JOINTS[:, :, :2])),
    "too_few_joints": in_place_of("rows/joints", holding(JOINTS[:14])),
    "joints_are_nothing": in_place_of("rows/joints", holding(h5py.Empty(np.float32))),
    "names_are_numbers": in_place_of("names", holding(np.arange(5))),
    "names_are_no_text": in_place_of("names", holding(np.array([b"\xff%d" % i for i in range(5)], TEXT))),
    "names_repeat": in_place_of("names", holding(["a", "b", "c", "d", "a"], dtype=TEXT)),
    "a_name_too_few": in_place_of("names", holding(["a", "b", "c", "d"], dtype=TEXT)),
    "names_in_two_rows": in_place_of("names", holding([["a"], ["b"]], dtype=TEXT)),
    "offset_is_short": in_place_of("offset", holding(np.array([0, 15]))),
    "offset_falls": changed("offset", 2, 100),
    "offset_is_negative": changed("offset", slice(1, 6), -(2**62)),
    "offset_turns_over": changed("offset", slice(1, 4), [2**63 - 1, -(2**63), -1]),
    "offset_starts_late": changed("offset", 0, 1),
    "offset_ends_late": changed("offset", 5, 19),
    "facts_are_reals": in_place_of("facts/bodies", holding(np.ones(5))),
    "no_body": changed("facts/bodies", 0, 0),
    "bodies_that_do_not_divide": changed("facts/bodies", 2, 2),
    "about_is_a_list": attribute("about", "[]"),
    "about_is_no_json": attribute("about", "{" * 100_000),
    "about_is_a_number": attribute("about", 3),
    "hash_is_a_number": attribute("data_hash", 3),
    "kind_is_long": attribute("kind", "x" * 10_000),
    "kind_is_numbers": attribute("kind", np.arange(3)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_open_records_refuses_what_write_records_does_not_write(tmp_path, damage):
    made = [Sequence(f"s{i}", np.ones((i + 1, 1, 25, 3), np.float32)) for i in range(5)]
    write_records(tmp_path / "a.h5", "centred", (s.to_record() for s in made), {})
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        DAMAGES[damage](file, tmp_path)
    print(refused(tmp_path / "a.h5"))


def test_open_records_refuses_files_cut_short(rng, tmp_path):
    write_records(tmp_path / "a.h5", "centred", (s.to_record() for s in sequences(rng)), {})
    content = (tmp_path / "a.h5").read_bytes()
    for length in np.linspace(0, len(content) - 1, 30).astype(int):
        (tmp_path / "a.h5").write_bytes(content[:length])
        refused(tmp_path / "a.h5", verify=True)


def test_open_records_refuses_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    assert "no regular file" in refused(tmp_path / "pipe.h5")
    assert "no regular file" in refused(tmp_path)


def test_open_records_can_verify_every_bit(rng, make_bodies, tmp_path, monkeypatch):
    monkeypatch.setattr("danet.io.store.FLUSH_ROWS", 4)  # several blocks
    bodies = [make_bodies({7: [0, 1], 9: [1, 2]}, frames=4)]
    for kind, made in (("centred", sequences(rng)), ("bodies", bodies), ("actors", [])):
        file = tmp_path / f"{kind}.h5"
        write_records(file, kind, (each.to_record() for each in made), {})
        with open_records(file, kind, verify=True) as records:
            assert len(records) == len(made)
    with h5py.File(tmp_path / "centred.h5") as whole:
        places = [whole["rows/joints"].id.get_chunk_info(0).byte_offset + 8, whole["facts/content"].id.get_offset()]
    content = (tmp_path / "centred.h5").read_bytes()
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / "centred.h5").write_bytes(damaged)
        with open_records(tmp_path / "centred.h5", "centred"):
            pass
        assert "the file is damaged" in refused(tmp_path / "centred.h5", verify=True)


def test_records_that_were_read_can_be_written_again(make_bodies, tmp_path):
    write_records(tmp_path / "a.h5", "bodies", [make_bodies({7: [0, 1]}, frames=4).to_record()], {})
    with open_records(tmp_path / "a.h5", "bodies") as records:
        write_records(tmp_path / "b.h5", "bodies", records, records.about)
    with open_records(tmp_path / "b.h5", "bodies", verify=True) as again:
        assert again.data_hash == records.data_hash


def test_write_records_refuses_fields_of_another_kind(tmp_path):
    with pytest.raises(ValueError, match="of a record of kind 'centred'"):
        write_records(tmp_path / "a.h5", "centred", [Record("a", {"joints": np.zeros((1, 25, 3))}, {})], {})


@pytest.mark.parametrize(
    ("about", "key"), [({}, "layout"), ({"layout": 3}, "layout"), ({"layout": KINECT_V2.described}, "prepare")]
)
def test_stages_say_what_the_metadata_lack(tmp_path, rng, about, key):
    write_records(tmp_path / "a.h5", "actors", (s.to_record() for s in sequences(rng)), about)
    with pytest.raises(
        UserError, match=rf"a\.h5: attribute 'about': expected a description of '{key}', got "
    ) as caught:
        centre_all(tmp_path / "a.h5", tmp_path / "c.h5")
    assert "\n" not in str(caught.value)


def test_export_says_what_the_metadata_lack(tmp_path, rng):
    write_records(tmp_path / "a.h5", "centred", (s.to_record() for s in sequences(rng)), {})
    with pytest.raises(UserError, match=r"a\.h5: attribute 'about': expected a description of 'dataset', got nothing"):
        export_sgn(tmp_path / "a.h5", "cross_view", tmp_path / "out.h5")
