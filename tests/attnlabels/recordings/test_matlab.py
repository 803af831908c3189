import h5py
import numpy as np
import pytest

from attnlabels.recordings.matlab import as_list, read_variables


def test_what_is_written_is_read_in_any_version(save, tmp_path):
    path = tmp_path / "a.mat"
    table = np.arange(6.0).reshape(3, 2)
    person = {"x": np.array([[1.0, 2.0]]), "none": np.zeros((0, 2)), "name": "ann"}
    written = {
        "table": table,
        "text": "1001.jpg",
        "people": [person, person | {"name": "bob"}],
        "one": person,
        "cells": ("a", table, {"n": np.array([[3.0]])}),
        "other": np.ones((1, 1)),
    }
    save(path, written)
    found = read_variables(path, ["table", "text", "people", "one", "cells", "missing"])
    assert list(found) == ["table", "text", "people", "one", "cells"]
    assert np.array_equal(found["table"], table) and found["text"] == "1001.jpg"
    assert [each["name"] for each in found["people"]] == ["ann", "bob"]
    assert found["people"][0]["x"].tolist() == [[1, 2]]
    assert found["one"]["none"].shape == (0, 2) and found["one"]["name"] == "ann"
    assert found["cells"][0] == "a" and found["cells"][2]["n"] == 3
    assert as_list(found["one"]) == [found["one"]] and len(as_list(found["people"])) == 2
    assert as_list(np.zeros((0, 0))) == []


def test_a_file_cut_anywhere_is_refused_by_its_name(save, tmp_path):
    path = tmp_path / "a.mat"
    save(path, {"gaze": [{"x": np.ones((40, 2))}] * 3})
    whole = path.read_bytes()
    for share in np.linspace(0, 0.9, 20):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"a\.mat: not a readable MAT file \(.*fetch it again"):
            read_variables(path, ["gaze"])


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "a.mat"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 999\n")
    with pytest.raises(ValueError, match=r"a\.mat: a pointer of git-lfs, .*run `git lfs pull`"):
        read_variables(path, ["gaze"])
    path.write_text("<!DOCTYPE html><html>You have to log in.</html>" * 9)
    with pytest.raises(ValueError, match=r"a\.mat: not a readable MAT file"):
        read_variables(path, ["gaze"])
    with pytest.raises(FileNotFoundError, match=r"no\.mat: no MAT file here; put the published"):
        read_variables(tmp_path / "no.mat", ["gaze"])


def test_a_file_that_holds_itself_is_refused(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w") as file:
        group = file.create_group("gaze")
        group["again"] = group
    with pytest.raises(ValueError, match=r"a\.mat: not a readable MAT file \(11 values lie within"):
        read_variables(path, ["gaze"])
