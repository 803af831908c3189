import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pandas as pd
import pytest

from attnlabels import cli
from attnlabels.psychophysics.trials import read_trials
from attnlabels.sessions.results import analyse_experiment, export_experiment, read_results
from attnlabels.sessions.store import DATABASE
from recipes import ANALYSING
from taking_part import Participant, Server, running, shown, somebody, write_experiment

FEW = replace(ANALYSING, resamples=5)
NEEDED = {"players": 0.1, "bottom_up": 1.0, "": 0.0}  # shares from which on a class is known


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    return write_experiment(tmp_path_factory.mktemp("made") / "experiment", per_class=6)


def trials_in(results: Path) -> dict[str, dict]:
    with closing(sqlite3.connect(results / DATABASE)) as db:
        db.row_factory = sqlite3.Row
        return {row["id"]: dict(row) for row in db.execute("SELECT * FROM trials")}


def take_part(person: Participant, results: Path, *, only: int | None = None) -> str:
    """As somebody who knows what NEEDED says, and presses the first class's key else."""
    person.agree()
    session, planned = person.session(), trials_in(results)
    first = next(iter(session["keys"].values()))
    for trial in session["trials"][:only]:
        there = planned[trial["id"]]
        known = there["share"] >= NEEDED[there["map_type"]]
        person.answer(trial, session["keys"][trial["class"]] if known else first)
    return session["participant"]


def test_what_people_answered_over_http_comes_out_of_the_analysis(experiment, tmp_path):
    results = tmp_path / "results"
    server = Server(experiment, results)
    try:
        for _ in range(6):
            with closing(httpx.Client(base_url=server.address)) as http:
                take_part(Participant(http), results)
        with closing(httpx.Client(base_url=server.address)) as http:
            gone = take_part(Participant(http), results, only=5)
    finally:
        assert server.stop() == 0
    found = analyse_experiment(results, tmp_path / "tables", analysing=FEW)
    assert found.kept.excluded == {gone: "left after 3 trials"}
    accuracy = {
        kind: {share: mean.mean for share, mean in curve.items()}
        for kind, curve in found.curves.items()
    }
    assert accuracy == {
        "players": {0.0: 0.5, 0.1: 1.0, 1.0: 1.0},
        "bottom_up": {0.0: 0.5, 0.1: 0.5, 1.0: 1.0},
    }
    report = json.loads((tmp_path / "tables" / "report.json").read_text())
    assert (report["participants"], report["excluded"], report["trials"]) == (6, 1, 72)
    assert (report["marked"], report["unanswered"]) == (0, 0)


@pytest.fixture
def results(experiment, tmp_path) -> Path:
    """Two people's, of whom the second was shown something too long, once too slow, once gone."""
    with running(experiment, tmp_path / "results") as opened:
        take_part(somebody(opened), tmp_path / "results")
        second = somebody(opened)
        second.agree()
        _, _, late, slow, left, *rest = second.session()["trials"]
        keys = second.session()["keys"]
        second.post("trial", **shown(late, keys[late["class"]], late=2))
        second.answer(slow, None)
        second.post("trial", id=left["id"], outcome="interrupted")
        for trial in rest:
            second.answer(trial, keys[trial["class"]])
    return tmp_path / "results"


def test_the_table_has_all_that_was_shown_but_practice(results, tmp_path):
    assert export_experiment(results, tmp_path / "trials.csv") == 24
    trials = read_trials(tmp_path / "trials.csv")
    second = trials[trials["participant"] == trials["participant"].iloc[-1]]
    assert [*second["mark"]][:3] == ["late", "", "interrupted"]
    assert [*second["outcome"]][:3] == ["answered", "too_slow", "interrupted"]
    assert [*second["answered"]][:4] == [True, False, False, True]
    assert {*trials["trial_type"]} == {"rapid-categorisation"} and trials["finished"].all()
    times = second[["onset_ms", "offset_ms", "planned_offset_ms"]].iloc[0].astype(float)
    assert times["offset_ms"] - times["planned_offset_ms"] == pytest.approx(2 * 1000 / 60, abs=0.01)
    assert trials.groupby("participant")["image"].nunique().eq(12).all()


def test_marked_trials_are_dropped_and_counted(results, tmp_path):
    found = analyse_experiment(results, tmp_path / "tables", analysing=FEW)
    assert (found.kept.marked, found.kept.unanswered, len(found.kept.trials)) == (2, 1, 21)


def test_the_table_and_the_folder_give_the_same(results, tmp_path):
    export_experiment(results, tmp_path / "trials.csv")
    for name, of in (("one", results), ("other", tmp_path / "trials.csv")):
        analyse_experiment(of, tmp_path / name, analysing=FEW)
    for path in (tmp_path / "one").glob("*.csv"):
        assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes()
    pd.testing.assert_frame_equal(
        read_results(results),
        pd.read_csv(tmp_path / "trials.csv", dtype=str, keep_default_na=False),
    )


def test_the_command_takes_the_folder_and_says_what_is_left_out(
    results, tmp_path, monkeypatch, capsys
):
    words = ["analyse", str(results), "--out", str(tmp_path / "tables"), "--resamples", "5"]
    monkeypatch.setattr(sys, "argv", ["attnlabels", "experiment", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code
    assert "left out: 2 trials that were marked\n" in capsys.readouterr().out
    assert (tmp_path / "tables" / "accuracy.md").is_file()


def test_results_are_read_while_people_take_part(experiment, tmp_path):
    with running(experiment, tmp_path / "results") as opened:
        person = somebody(opened)
        person.agree()
        with pytest.raises(ValueError, match="results.sqlite: no trials yet; wait for the first"):
            read_results(tmp_path / "results")
        person.take_part()
        assert len(read_results(tmp_path / "results")) == 12


def test_a_folder_without_results_is_named(experiment, tmp_path):
    with pytest.raises(FileNotFoundError, match="results.sqlite: no such file; name what `exp"):
        analyse_experiment(experiment, tmp_path / "tables", analysing=FEW)
    assert not (experiment / DATABASE).exists()
