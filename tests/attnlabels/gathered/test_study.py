import os
import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from attnlabels.gathered.study import read_study
from gathered_study import change


def test_a_study_is_read_as_it_was_played(made):
    study = read_study(made.study)
    assert [*study.participants] == [*made.manners] and len(study.images) == 12
    assert study.settings["task"] == "paint" and study.reach == 3
    kinds = [each.kind for each in study.rounds if each.participant == next(iter(made.manners))]
    assert kinds == ["practice", *["play"] * 8, "catch", *["repeat"] * 2]
    assert study.unfinished == 0
    first = study.rounds[0]
    assert first.image.path == f"{first.image.label}/{first.image.number:03d}.png"
    assert len(first.samples.t) == len(first.samples.xy) == len(first.samples.event)
    assert first.samples.event[0] == "down" and first.samples.event[-1] == "up"
    assert (np.diff(first.samples.t[1:]) >= -17).all()
    assert first.guesses[0].top[0] == ("cup", 0.6) and first.shown["pointer"] == "mouse"
    assert [image.catch for image in study.images].count(True) == 1


def test_it_is_read_while_a_server_has_it_open_and_nothing_is_changed(copied):
    with closing(sqlite3.connect(copied.study / "study.sqlite")) as server:
        server.execute("BEGIN IMMEDIATE")
        server.execute("UPDATE rounds SET score = 1")
        study = read_study(copied.study)
        assert not all(each.score == 1 for each in study.rounds)
        server.execute("COMMIT")
        assert all(each.score == 1 for each in read_study(copied.study).rounds)


def test_rounds_that_never_came_back_are_counted(copied):
    change(copied.study, "UPDATE rounds SET finished = NULL WHERE position = 3")
    study = read_study(copied.study)
    assert study.unfinished == 8 and all(each.position != 3 for each in study.rounds)


def test_where_no_study_is_or_no_round_is_finished_one_is_told(copied, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no study here"):
        read_study(tmp_path / "nowhere")
    change(copied.study, "UPDATE rounds SET finished = NULL")
    with pytest.raises(ValueError, match="study: none of its 96 rounds is finished"):
        read_study(copied.study)


def test_another_version_is_refused_by_its_number(copied):
    change(copied.study, "PRAGMA user_version = 2")
    with pytest.raises(ValueError, match=r"made by another version \(schema 2, here 1\)"):
        read_study(copied.study)


@pytest.mark.parametrize("start", [0, 100, 4096], ids=["head", "page", "table"])
def test_a_damaged_database_is_refused_by_name(copied, start):
    path = copied.study / "study.sqlite"
    data = bytearray(path.read_bytes())
    data[start : start + 3000] = b"\xff" * 3000
    path.write_bytes(data)
    with pytest.raises(ValueError, match="study.sqlite: .*copy the study's folder again"):
        read_study(copied.study)


def test_an_empty_file_is_no_study(copied):
    (copied.study / "study.sqlite").write_bytes(b"")
    with pytest.raises(ValueError, match="study.sqlite: empty, or no database of a study; copy"):
        read_study(copied.study)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("samples", "[[1, 2"),
        ("samples", '[[1, "x", 2, "move"]]'),
        ("samples", '[[1, 1e999, 2, "move"]]'),
        ("guesses", '[{"n": 3}]'),
        ("task", "dance"),
        ("image", 99),
        ("participant", None),
    ],
    ids=["json", "text", "infinite", "guess", "task", "image", "participant"],
)
def test_a_round_that_is_none_is_refused_by_name(copied, column, value):
    change(copied.study, f"UPDATE rounds SET {column} = ? WHERE position = 2", value)
    with pytest.raises(ValueError, match="study.sqlite: round"):
        read_study(copied.study)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("number,path\n0,a.png\n", "no column class"),
        (
            "number,path,class,width,height,sha256,catch\nx,a.png,a,1,1,0,0\n",
            "line 2: no image of a study",
        ),
        (
            f"number,path,class,width,height,sha256,catch\n0,{os.pardir}/a.png,a,1,1,0,0\n",
            "leads out of the folder",
        ),
    ],
    ids=["columns", "number", "path"],
)
def test_a_list_of_images_that_is_none_is_refused(copied, text, why):
    (copied.study / "images.csv").write_text(text)
    with pytest.raises(ValueError, match=f"images.csv: .*{why}"):
        read_study(copied.study)


@pytest.mark.parametrize(
    ("name", "what"), [("images.csv", "list of the study's images"), ("study.yaml", "settings")]
)
def test_a_study_without_one_of_its_files_is_refused(copied, name, what):
    (copied.study / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name}: the .*{what}.* missing"):
        read_study(copied.study)


def test_reading_leaves_nothing_behind(copied):
    for name in ("study.sqlite-wal", "study.sqlite-shm"):
        (copied.study / name).unlink(missing_ok=True)
    before = sorted(each.name for each in copied.study.iterdir())
    assert len(read_study(copied.study).rounds) == 96
    assert sorted(each.name for each in copied.study.iterdir()) == before


def test_what_a_killed_server_had_not_written_to_the_file_yet_is_read(copied, tmp_path):
    with closing(sqlite3.connect(copied.study / "study.sqlite")) as server:
        server.execute("PRAGMA wal_autocheckpoint = 0")
        server.execute("UPDATE rounds SET score = 7")
        server.commit()
        shutil.copytree(copied.study, tmp_path / "killed")  # as it is now, its log beside it
    assert all(each.score == 7 for each in read_study(tmp_path / "killed").rounds)
