import json

import numpy as np
import pytest

from attnlabels.results import read_arrays, read_csv, read_json


def test_rows_come_with_all_their_columns(tmp_path):
    (tmp_path / "a.csv").write_text("k,cc,more\n1,0.5,x\n2,,y\n")
    rows = read_csv(tmp_path / "a.csv", columns=("k", "cc"), stage="align_attention")
    assert rows["k"].tolist() == [1, 2] and rows["more"].tolist() == ["x", "y"]
    assert rows["cc"].isna().tolist() == [False, True]  # an empty cell


@pytest.mark.parametrize(
    "text, message",
    [
        ("k\n1\n", "lacks cc; run the stage align_attention again"),
        ("k,cc\n", "has no rows"),
        ("k,cc\n1,inf\n", "is infinite in cc"),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path, text, message):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_csv(tmp_path / "a.csv", columns=("k", "cc"), stage="align_attention")


def test_arrays_are_the_keys_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros(3), names=np.ones(3), more=np.ones(9))
    arrays = read_arrays(tmp_path / "a.npz", keys=("images", "names"), stage="label_images")
    assert arrays.keys() == {"images", "names"}


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": np.zeros(3)}, "lacks names; run the stage label_images again"),
        ({"images": np.zeros(3), "names": np.zeros(2)}, "lengths .*'images': 3, 'names': 2"),
        ({"images": np.zeros(0), "names": np.zeros(0)}, "expected one and not 0"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        read_arrays(tmp_path / "a.npz", keys=("images", "names"), stage="label_images")


def test_scores_come_as_they_were_written(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"imagenet": {"top1": 0.5}}))
    assert read_json(tmp_path / "a.json", stage="probe_linear") == {"imagenet": {"top1": 0.5}}


def test_a_missing_file_names_the_stage_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.json is missing; run the stage probe_linear"):
        read_json(tmp_path / "a.json", stage="probe_linear")
