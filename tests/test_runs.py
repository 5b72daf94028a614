"""Which runs are planned for what lies in the raw folders."""

import pytest

from danet.config.settings import check_config
from danet.datasets.ntu import NTU120
from danet.errors import UserError
from danet.pipeline.runs import check_ensembles, requested_runs
from danet.preparation.manifest import raw_folders

FIRST, SECOND = "nturgbd_raw/nturgb+d_skeletons", "nturgbd_raw/nturgb+d_skeletons120"
OF_60, OF_120 = "S001C001P001R001A001.skeleton", "S018C001P041R001A061.skeleton"


@pytest.fixture
def plan(tmp_path):
    """Puts files below the data folder: the data sets that are planned, and what is told."""

    def make(*files, runs="auto"):
        for file in files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(b"")
        told = []
        planned = requested_runs(check_config({"data": str(tmp_path), "runs": runs}), told.append)
        return list(dict.fromkeys(dataset for dataset, _ in planned)), told

    return make


@pytest.mark.parametrize(
    ("files", "planned"),
    [
        ([], ["demo"]),
        ([f"{FIRST}/.DS_Store"], ["demo"]),
        ([f"{FIRST}/{OF_60}"], ["ntu60"]),
        ([f"{FIRST}/deep/{OF_60}", f"{SECOND}/{OF_120}"], ["ntu60", "ntu120"]),
        ([f"{FIRST}/{OF_60}", f"{FIRST}/{OF_120}"], ["ntu60", "ntu120"]),
        ([f"{SECOND}/{OF_60}", f"{SECOND}/{OF_120}"], ["ntu120"]),
        ([f"{SECOND}/{OF_60}"], ["ntu120"]),
    ],
)
def test_auto_plans_what_any_raw_folder_holds(plan, files, planned):
    assert plan(*files) == (planned, [])


@pytest.mark.parametrize("folder", [FIRST, SECOND])
def test_ntu120_runs_from_one_of_its_folders(plan, tmp_path, folder):
    assert plan(f"{folder}/{OF_60}", runs=["ntu120"]) == (["ntu120"], [])
    assert raw_folders(NTU120, tmp_path) == [tmp_path / folder]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (f"{FIRST}/nturgbd_skeletons.zip", r"files that end in \.skeleton, got an archive, .*\.zip; unpack it there"),
        (
            "UESTC/a0_d1_p001_c1_color.avi",
            r"uestc: expected raw recordings in .*got other files, such as .*avi",
        ),
        ("UESTC/deep/.hidden", "uestc: expected raw recordings .* got other files"),
        ("custom/wave.npy", r"custom: expected samples\.csv beside the recordings, got none"),
        ("UESTC", "uestc: expected raw recordings in .*UESTC, .* got none; request them"),
    ],
)
def test_auto_never_takes_the_demo_where_something_lies(plan, file, message):
    with pytest.raises(UserError, match=message):
        plan(file)


def test_auto_tells_what_it_cannot_use_and_runs_the_rest(plan):
    planned, told = plan("UESTC/a.avi", f"{FIRST}/{OF_60}")
    assert planned == ["ntu60"]
    assert [line.partition(":")[0] for line in told] == ["uestc"]


def test_link_to_nothing_in_place_of_a_raw_folder_is_told(plan, tmp_path):
    (tmp_path / "UESTC").symlink_to(tmp_path / "unmounted")
    with pytest.raises(UserError, match="uestc: expected raw recordings"):
        plan()


@pytest.mark.parametrize(
    ("changes", "got"),
    [
        ({"datasets": {"demo": {"split": {"validation_share": 0}}}}, "'split.validation_share: 0' for demo, a"),
        ({"methods": {"a": {}, "b": {"train": {"refit": True}}}}, "'train.refit' for ntu60, b"),
    ],
)
def test_ensemble_that_nothing_can_weigh_is_refused_before_anything_trains(changes, got):
    settings = {"methods": {"a": {}, "b": {}}, "ensembles": {"both": {"members": ["a", "b"], "weights": "validation"}}}
    runs = [("ntu60", "cross_view"), ("demo", "cross_view")]
    weighed = check_config(settings | changes)
    with pytest.raises(UserError) as caught:
        check_ensembles(runs, weighed.methods, weighed)
    assert str(caught.value) == f"config: expected validation samples to weigh the ensemble 'both' by, got {got}"
    for sound in (check_config(settings), check_config(settings | changes | {"ensembles": {"both": ["a", "b"]}})):
        check_ensembles(runs, sound.methods, sound)


def test_own_data_may_name_validation_samples_that_the_settings_do_not_know_of():
    methods = {"a": {}, "b": {}}
    ensembles = {"both": {"members": ["a", "b"], "weights": "validation"}}
    config = check_config({"methods": methods, "ensembles": ensembles, "split": {"validation_share": 0}})
    check_ensembles([("custom", "own_split")], config.methods, config)
    with pytest.raises(UserError, match="for utd_mhad, a"):
        check_ensembles([("custom", "own_split"), ("utd_mhad", "cross_subject")], config.methods, config)
