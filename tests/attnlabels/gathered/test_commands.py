"""The commands `attnlabels collect export` and `report`, as a shell calls them."""

from collections.abc import Callable
from functools import partial
from typing import get_args

import pytest

from attnlabels.gathered.export import Form
from attnlabels.gathered.study import Kind
from gathered_study import change


@pytest.fixture
def call(copied, tmp_path, monkeypatch, command) -> Callable[..., tuple[int, str, str]]:
    """The status of the command, what it prints and what it says of errors, beside a study."""
    monkeypatch.chdir(tmp_path)
    return partial(command, "collect")


EXPORT = ("export", "study", "--images", "images", "--out", "out")


def test_an_export_says_what_counts_and_where_it_is(call, tmp_path):
    status, out, _ = call(*EXPORT)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "64 of 96 finished rounds count, by 8 of 8 participants"
    assert "left out: 8 rounds of catch" in lines and lines[-1] == "out"
    assert (tmp_path / "out/data/task-paint_data.csv").is_file()


@pytest.mark.parametrize("form", get_args(Form))
def test_each_form_can_be_asked_for(call, tmp_path, form):
    assert call(*EXPORT, "--as", form)[0] == 0
    assert (tmp_path / "out/dataset_description.json").is_file()


def test_the_options_reach_the_rules(call):
    kinds = [word for each in get_args(Kind) for word in ("--kind", each)]
    assert call(*EXPORT, *kinds, "--again")[1].startswith("96 of 96")
    status, out, _ = call(*EXPORT[:-1], "two", "--suspicion", "0.5", "--fewest-points", "2")
    assert status == 0 and "suspicion" in out and "by 6 of 8 participants" in out
    words = ("--catch", "0.9", "--pointer", "mouse", "--fastest", "10", "--hidden", "0")
    assert call(*EXPORT[:-1], "three", *words, "--fewest-players", "2")[0] == 0
    words = ("--as", "shards", "--blur", "disc_twice", "--map-size", "20")
    assert call(*EXPORT[:-1], "four", *words)[0] == 0


def test_what_cannot_be_done_is_one_line(call, copied, tmp_path):
    for words, why in (
        (("export", "nowhere", "--images", "images", "--out", "out"), "no study here"),
        (("export", "study", "--images", "nowhere", "--out", "out"), "no such folder"),
        ((*EXPORT, "--without", "nobody"), "nobody is no participant"),
        ((*EXPORT, "--fewest-players", "99"), "no round is left"),
        (("export", "study", "--images", "images", "--out", "images"), "is there already"),
        (("report", "nowhere", "--images", "images", "--out", "p.html"), "no study here"),
    ):
        status, _, err = call(*words)
        assert status == 1 and len(err.splitlines()) == 1 and why in err, words
    change(copied.study, "PRAGMA user_version = 3")
    assert "made by another version (schema 3" in call(*EXPORT)[2]
    assert not (tmp_path / "out").exists()


def test_a_report_says_what_it_finds(call, tmp_path):
    status, out, _ = call("report", "study", "--images", "images", "--out", "page.html")
    assert status == 0 and "2 of 8 players look wrong" in out
    assert out.splitlines()[-1] == "page.html" and (tmp_path / "page.html").is_file()
