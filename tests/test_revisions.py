"""What makes a raw file another one: its content, not its times."""

import os
import shutil

import pandas as pd
import pytest

from danet.config.settings import Prepare
from danet.datasets.demo import DEMO
from danet.preparation import revisions
from danet.preparation.manifest import listing_hash, make_manifest
from danet.preparation.parse import parse

LONG_AGO = 1_000_000_000  # seconds


@pytest.fixture
def results(raw, tmp_path):
    """The results of a data set whose raw files were listed and parsed."""
    (raw / "notes.skeleton").write_text("no sample by its name")
    results = tmp_path / "results"
    told(raw, results)
    parsed(raw, results)
    return results


def told(raw, results):
    return listing_hash(DEMO, [raw], results)


def parsed(raw, results):
    """The revisions of the manifest that was parsed."""
    manifest = make_manifest(DEMO, [raw], results)
    parse(
        manifest,
        DEMO,
        results / "bodies.h5",
        results / "set_aside.parquet",
        results / revisions.PARSED,
        settings=Prepare(),
        jobs=1,
    )
    return manifest["revision"].tolist()


def touch(raw):
    for file in raw.iterdir():
        os.utime(file, (LONG_AGO, LONG_AGO))


def copy(raw):
    shutil.copytree(raw, raw.with_name("copy"))
    shutil.rmtree(raw)
    raw.with_name("copy").rename(raw)


@pytest.mark.parametrize("act", [touch, copy])
def test_listing_stays_when_files_are_touched_or_copied(raw, results, act):
    before = told(raw, results)
    act(raw)
    assert told(raw, results) == before
    assert told(raw, results) == before, "and again"


def edit(file, *, keep_time):
    """Another digit, at the same size."""
    stat = file.stat()
    file.write_bytes(file.read_bytes().replace(b"1", b"2", 1))
    if keep_time:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("keep_time", [False, True])
def test_listing_changes_with_an_edit_of_the_same_size(raw, results, keep_time):
    before, file = told(raw, results), min(raw.iterdir())
    content = file.read_bytes()
    edit(file, keep_time=keep_time)
    edited = told(raw, results)
    assert edited != before
    assert told(raw, results) == edited
    file.write_bytes(content)
    assert told(raw, results) == before, "what was parsed is back"
    edit(file, keep_time=keep_time)
    edited = parsed(raw, results)
    touch(raw)
    assert make_manifest(DEMO, [raw], results)["revision"].tolist() == edited, "what is parsed now counts"


def test_listing_changes_with_a_file_added_or_removed(raw, results):
    before, file = told(raw, results), min(raw.iterdir())
    shutil.copy(file, file.with_name("S001C001P039R001A001.skeleton"))
    added = told(raw, results)
    file.unlink()
    assert len({before, added, told(raw, results)}) == 3


def test_untouched_files_are_not_read(raw, results, monkeypatch):
    read = []
    for file in raw.iterdir():
        os.utime(file, (LONG_AGO, LONG_AGO))
    monkeypatch.setattr(revisions, "YOUNG", 0)
    told(raw, results)
    monkeypatch.setattr(revisions, "content_hash", lambda path: read.append(path) or "")
    told(raw, results)
    assert not read
    touch(raw)
    told(raw, results)
    assert sorted(read) == sorted(str(file) for file in raw.iterdir())


@pytest.mark.parametrize("file", [revisions.REMEMBERED, revisions.PARSED])
@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b"\xff"])
def test_damaged_memory_is_no_memory(raw, results, file, content):
    before = told(raw, results)
    (results / file).write_bytes(content)
    assert told(raw, results) == before, "no file was touched"


def test_every_file_is_parsed_under_its_revision(raw, results):
    table = pd.read_parquet(results / revisions.PARSED)
    assert sorted(table["file"]) == sorted(str(file) for file in raw.iterdir())
    assert (table["content"] != "").all()
    assert (table["revision"] != "").all()
