import csv
import json
import os
import platform
import signal
import time
from multiprocessing import get_context

import numpy as np
import pytest

from attnlabels.pipeline.places import MARK
from attnlabels.pipeline.writing import (
    replacing,
    replacing_folder,
    write_arrays,
    write_json,
    write_rows,
)


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_a_file_appears_whole_in_a_new_folder(tmp_path):
    with replacing(tmp_path / "new" / "out.txt") as aside:
        aside.write_text("whole")
        assert not (tmp_path / "new" / "out.txt").exists()
    assert (tmp_path / "new" / "out.txt").read_text() == "whole"
    assert names(tmp_path / "new") == ["out.txt"]


def write_folder(out, name):
    with replacing_folder(out) as aside:
        aside.mkdir()
        (aside / name).touch()


def test_a_folder_replaces_an_older_one_and_nothing_of_it_stays(tmp_path):
    out = tmp_path / "out"
    write_folder(out, "old")
    with replacing_folder(out) as aside:
        aside.mkdir()
        (aside / "new").write_text("new")
        assert names(out) == [MARK, "old"]
    assert names(out) == [MARK, "new"] and names(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("folder", [False, True])
def test_a_failure_leaves_the_old_result_alone(tmp_path, error, folder):
    out = tmp_path / "out"
    write_folder(out, "old") if folder else out.write_text("old")
    with pytest.raises(error), (replacing_folder if folder else replacing)(out) as aside:
        aside.mkdir() if folder else aside.write_text("half")
        raise error
    assert names(tmp_path) == ["out"]
    assert names(out) == [MARK, "old"] if folder else out.read_text() == "old"


def test_a_folder_that_cannot_be_moved_into_place_leaves_the_old_one(tmp_path, monkeypatch):
    write_folder(tmp_path / "out", "old")
    replace = os.replace

    def fail(source, to):
        if str(source).endswith(".tmp"):
            raise OSError(5, "Input/output error")
        replace(source, to)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="out: cannot be written .*Input/output"):
        write_folder(tmp_path / "out", "new")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == [MARK, "old"]


def test_a_failure_leaves_no_result_where_there_was_none(tmp_path):
    with pytest.raises(ValueError), replacing(tmp_path / "out") as aside:
        aside.write_text("half")
        raise ValueError
    assert names(tmp_path) == []


def test_writing_nothing_fails_and_keeps_the_old_folder(tmp_path):
    write_folder(tmp_path / "out", "old")
    said = "out stays as it was: nothing was written"
    with pytest.raises(FileNotFoundError, match=said), replacing_folder(tmp_path / "out"):
        pass
    assert names(tmp_path / "out") == [MARK, "old"] and names(tmp_path) == ["out"]


def write_half(out, folder):
    """In a process of its own, which is killed before it has done; its number."""

    def half():
        with (replacing_folder if folder else replacing)(out) as aside:
            aside.mkdir() if folder else aside.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    process = get_context("fork").Process(target=half)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return process.pid


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_process_left_goes_with_the_next_that_writes_there(tmp_path, folder):
    out = tmp_path / "out"
    number = write_half(out, folder)
    (left,) = names(tmp_path)
    assert str(number) in left
    running = left.replace(str(number), str(os.getppid()))
    elsewhere = left.replace(platform.node(), "elsewhere")
    for name in (running, elsewhere, left.replace(".out", ".out2")):
        (tmp_path / name).touch()
    others = set(names(tmp_path)) - {left}
    (tmp_path / f"{left}.half").touch()  # what a writer had beside what it wrote
    write_folder(out, "new") if folder else write_json(out, {})
    assert set(names(tmp_path)) == {"out", *others}


@pytest.mark.parametrize("ours", [True, False])  # in containers numbers come again
def test_an_old_folder_that_a_killed_process_moved_aside_stays_until_there_is_a_new_one(
    tmp_path, ours
):
    number = os.getpid() if ours else 2**22 + 1  # more than any process has
    old = tmp_path / f".out.{platform.node()}.{number}.old"
    old.mkdir()
    (old / "result").touch()
    with pytest.raises(ValueError), replacing_folder(tmp_path / "out") as aside:
        aside.mkdir()
        raise ValueError
    assert names(tmp_path) == [old.name]
    write_folder(tmp_path / "out", "new")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == [MARK, "new"]


def test_what_a_killed_process_of_the_same_number_left_is_not_mixed_in(tmp_path):
    for ending in ("tmp", "old"):
        left = tmp_path / f".out.{platform.node()}.{os.getpid()}.{ending}"
        left.mkdir()
        (left / "stale").touch()
    write_folder(tmp_path / "out", "new")
    write_folder(tmp_path / "out", "newer")
    assert names(tmp_path) == ["out"] and names(tmp_path / "out") == [MARK, "newer"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"), replacing(tmp_path / "file" / "out"):
        raise AssertionError("not reached")
    assert names(tmp_path) == ["file"]


def test_json_keeps_numbers_strings_and_nesting(tmp_path):
    tree = {"imagenet": {"top1": 0.1, "n": 3, "5": 1e-9}, "name": "x", "severities": [1, 2]}
    write_json(tmp_path / "a.json", tree)
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == tree and text.endswith("}\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("-inf")])
def test_a_number_that_is_not_finite_is_refused_by_its_full_key(tmp_path, value):
    for tree, key in (
        ({"a": {"b": {"c": value}}}, "a.b.c"),
        ({"a": {"b": [0.0, value]}}, "a.b.1"),
    ):
        with pytest.raises(ValueError, match=f"^scores.json: {key} is .*(nan|inf).* finite"):
            write_json(tmp_path / "scores.json", tree)
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [None, np.float32(1), np.int64(1), {1, 2}])
def test_what_is_no_plain_number_is_refused_by_its_full_key(tmp_path, value):
    with pytest.raises(ValueError, match="scores.json: a.b is .* expected a number"):
        write_json(tmp_path / "scores.json", {"a": {"b": value}})


def test_rows_come_under_their_columns_and_a_missing_cell_is_empty(tmp_path):
    rows = [{"b": 0.25, "a": 1}, {"a": "x, y"}]
    write_rows(tmp_path / "a.csv", rows, columns=("a", "b"))
    assert (tmp_path / "a.csv").read_bytes() == b'a,b\n1,0.25\n"x, y",\n'
    with open(tmp_path / "a.csv", newline="") as file:
        assert [*csv.DictReader(file)] == [{"a": "1", "b": "0.25"}, {"a": "x, y", "b": ""}]


def test_a_row_with_an_unknown_column_is_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="'c'"):
        write_rows(tmp_path / "a.csv", [{"a": 1, "c": 2}], columns=("a", "b"))
    assert names(tmp_path) == []


def test_a_row_with_a_nan_is_refused_by_row_and_column(tmp_path):
    rows = [{"a": 1.0}, {"a": float("nan")}]
    with pytest.raises(ValueError, match="a.csv: row 1, a is nan"):
        write_rows(tmp_path / "a.csv", rows, columns=("a",))


def test_arrays_come_back_and_their_file_says_nothing_of_the_hour(tmp_path, monkeypatch):
    arrays = {"maps": np.arange(6.0).reshape(2, 3), "names": np.array(["a.jpg", "b.jpg"])}
    write_arrays(tmp_path / "a.npz", **arrays)
    later = time.localtime(time.time() + 1e6)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    write_arrays(tmp_path / "b.npz", **arrays)
    with np.load(tmp_path / "a.npz") as read:
        assert [*read] == ["maps", "names"]
        assert all(np.array_equal(read[key], each) for key, each in arrays.items())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_arrays_of_objects_are_refused_and_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="[Oo]bject arrays"):
        write_arrays(tmp_path / "a.npz", things=np.array([{}], dtype=object))
    assert names(tmp_path) == []
