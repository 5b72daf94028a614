"""The peers' files, against the arrays that their own scripts write."""

import hashlib
import json

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from danet.cli import app

PROTOCOLS = {"CS": "cross_subject", "CV": "cross_view"}


def danet(*arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=["ntu_samples", "ntu_stress"])
def prepared(request, tmp_path_factory):
    recordings = request.getfixturevalue("recordings")
    out = tmp_path_factory.mktemp("prepared") / "ntu60.h5"
    danet("prepare", "ntu60", "--raw", recordings / request.param, "--out", out, "--timing", "reference")
    return request.param, recordings, out


@pytest.mark.parametrize("short", PROTOCOLS)
def test_export_ctr_gcn_equals_reference_bit_for_bit(prepared, tmp_path, short):
    which, recordings, centred = prepared
    danet("export", "ctr-gcn", centred, "--protocol", PROTOCOLS[short], "--out", tmp_path / "x.npz")
    with np.load(recordings / f"{which}_golden.npz") as golden, np.load(tmp_path / "x.npz") as made:
        assert list(made) == ["x_train", "y_train", "x_test", "y_test"]
        for part in ("train", "test"):
            expected, got = golden[f"{short}/x_{part}"], made[f"x_{part}"]
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            assert got.tobytes() == expected.tobytes()
            labels = made[f"y_{part}"]
            assert (labels.dtype, labels.shape) == (np.float64, (len(expected), 60))
            np.testing.assert_array_equal(labels.argmax(axis=1), golden[f"{short}/label_{part}"])


@pytest.mark.parametrize("short", PROTOCOLS)
def test_export_sgn_equals_reference_bit_for_bit(prepared, tmp_path, short):
    which, recordings, centred = prepared
    if which != "ntu_stress":
        pytest.skip("no reference of SGN for the samples")
    name = f"NTU_{short}.h5"
    danet("export", "sgn", centred, "--protocol", PROTOCOLS[short], "--out", tmp_path / name)
    lines = [line for line in (recordings / "ntu_stress_sgn.sha256").read_text().splitlines() if f" {name} " in line]
    assert len(lines) == 6
    with h5py.File(tmp_path / name) as made:
        assert len(made) == 6
        for line in lines:
            digest, _, rest = line.partition(f"  {name} ")
            key, _, described = rest.partition(" ")
            array = made[key][()]
            assert f"{array.shape} {array.dtype}" == described
            assert hashlib.sha256(array.tobytes()).hexdigest() == digest, key


def test_exports_of_ntu120_copy_the_first_body(recordings, tmp_path):
    for dataset in ("ntu60", "ntu120"):
        out = tmp_path / f"{dataset}.h5"
        danet("prepare", dataset, "--raw", recordings / "ntu_samples", "--out", out)
        danet("export", "ctr-gcn", out, "--protocol", "cross_subject", "--out", tmp_path / f"{dataset}.npz")
    with np.load(tmp_path / "ntu60.npz") as sixty, np.load(tmp_path / "ntu120.npz") as hundred:
        ntu60, ntu120 = sixty["x_train"], hundred["x_train"]
        assert hundred["y_train"].shape[1] == 120
    single = ~ntu60[:, :, 75:].any(axis=(1, 2))
    assert 0 < single.sum() < len(single)
    np.testing.assert_array_equal(ntu120[single, :, 75:], ntu120[single, :, :75])
    np.testing.assert_array_equal(ntu120[~single], ntu60[~single])
