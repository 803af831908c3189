import base64
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analyse_trials
from attnlabels.psychophysics.participants import answer, recruit
from attnlabels.psychophysics.trials import read_stimuli
from painted import CLASSES, write_stimuli

SECTION: dict[str, Any] = {
    "rules": {
        "fastest_ms": None,
        "whole_accuracy": None,
        "unanswered_sd": None,
        "blank_accuracy": None,
        "marked": "keep",
        "unfinished": "keep",
    },
    "accuracy": 0.7,
    "guess": None,
    "most_lapses": 0.3,
    "pairs": [["part", "object"]],
    "permutations": 1000,
    "resamples": 10,
    "level": 0.95,
    "seed": 0,
}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """Stimuli, and participants who know the class of what is revealed of parts, and no other."""
    folder = tmp_path_factory.mktemp("experiment")
    stimuli = read_stimuli(write_stimuli(folder) / "stimuli.csv")
    rows = []
    for each in recruit(24, n_sets=6, networks=["x", "y"], noise_sd=[1.0]):
        seen = stimuli[stimuli["set"] == each.set]
        known = ((seen["map_type"] == "part") & (seen["share"] > 0)) | (seen["share"] == 1)
        truth = seen["class"].to_numpy()[:, None] == np.array(CLASSES)
        logits = 20.0 * truth * known.to_numpy()[:, None]
        rows += answer(each, seen, logits, classes=CLASSES, seed=0)
    pd.DataFrame(rows).to_csv(folder / "trials.csv", index=False)
    return folder


@pytest.fixture
def analysed(tmp_path, monkeypatch, experiment) -> Callable[..., Path]:
    """Analyses the trials into `out`, with changes to the section."""
    monkeypatch.chdir(tmp_path)

    def call(*, trials: Path = experiment / "trials.csv", **changed) -> Path:
        tree = {"threads": 1, "analyse_trials": SECTION | changed}
        Path("params.yaml").write_text(json.dumps(tree))
        out = [Path("out") / name for name in ("tables", "report.json", "page.html")]
        analyse_trials.main(trials, experiment / "stimuli", *out)
        return Path("out")

    return call


def test_tables_numbers_and_a_page_are_left(analysed):
    out = analysed()
    keys = ("accuracy", "thresholds", "comparisons")
    files = {f"{key}.{kind}" for key in keys for kind in ("md", "csv")}
    made = {path.name for path in (out / "tables").iterdir()}
    assert made == {*files, "tables.json", "curves.png", ".attnlabels"}
    report = json.loads((out / "report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    assert (report["participants"], report["trials"], report["excluded"]) == (24, 24 * 9, 0)
    table = pd.read_csv(out / "tables/thresholds.csv", index_col=0)
    assert table.loc["part", "share"] == "below 0.2"  # the least that was shown
    assert 0.2 < report["thresholds"]["object"]["share"] == float(table.loc["object", "share"])
    assert report["comparisons"]["part_minus_object_at_20_%"]["difference"] > 0.3


def test_the_page_says_what_was_found_and_shows_stimuli(analysed):
    out = analysed()
    page = (out / "page.html").read_text()
    HTMLParser().feed(page)
    assert "How much has to be revealed: part below 0.2, object " in page
    assert "part against object: more accurate at 1, less at 0 of 1 shares." in page
    assert "The 24 participants are 2 networks with noise" in page
    assert page.count("data:image/") == 1 + 2 * 3  # the curves; two map types, three shares
    curves = (out / "tables/curves.png").read_bytes()
    assert f"data:image/png;base64,{base64.b64encode(curves).decode()}" in page  # as drawn


def test_of_people_nothing_is_said_of_networks(analysed, experiment, tmp_path):
    trials = pd.read_csv(experiment / "trials.csv").drop(columns=["network", "noise_sd"])
    trials.to_csv(tmp_path / "people.csv", index=False)
    assert "networks" not in (analysed(trials=tmp_path / "people.csv") / "page.html").read_text()


def test_all_pairs_are_tested_where_none_are_named(analysed):
    report = json.loads((analysed(pairs=None) / "report.json").read_text())
    assert [*report["comparisons"]] == ["part_minus_object_at_20_%"]


def test_rules_and_pairs_that_do_not_fit_are_refused(analysed):
    rules = SECTION["rules"] | {"whole_accuracy": 1.0}
    with pytest.raises(ValueError, match="all 24 participants are excluded or answered nothing"):
        analysed(rules=rules)
    with pytest.raises(ValueError, match="no map type 'none'"):
        analysed(pairs=[["part", "none"]])
    with pytest.raises(ValueError, match="analyse_trials.rules.blank_accuracy is missing"):
        analysed(rules={key: rules[key] for key in [*rules][:3]})
    assert not Path("out").exists()
