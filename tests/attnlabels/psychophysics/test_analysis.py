import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attnlabels.images.decoding import read_image
from attnlabels.psychophysics.analysis import (
    Analysis,
    analyse,
    analyse_experiment,
    describe_leak,
    numbers_of,
)
from attnlabels.psychophysics.psychometric import Psychometric
from attnlabels.psychophysics.trials import read_trials
from recipes import ANALYSING

BRIEF = replace(ANALYSING, permutations=20, resamples=2)  # where neither's result is looked at
MIDDLES = {"players": -1.4, "bottom_up": -0.8, "random": 0.3}
SHARES = (0.0, 0.03, 0.1, 0.3, 1.0)


def rows(n_people: int = 6, per_share: int = 16) -> list[dict]:
    """Answers to images of two classes by groups that need more or less to be revealed."""
    rng = np.random.default_rng(0)
    told = []
    for kind, middle in MIDDLES.items():
        function = Psychometric(0.5, 0.0, 8.0, middle, 0.0)
        for person in range(n_people):
            for i in range(per_share * len(SHARES)):
                share, answer = SHARES[i % len(SHARES)], "ab"[i // len(SHARES) % 2]
                known = share == 1 or (
                    share and rng.random() < function.accuracy(np.array([share]))[0]
                )
                right = known if share else rng.random() < 0.5
                told.append(
                    {
                        "participant": f"{kind}{person}",
                        "image": f"{answer}/{i}.png",
                        "class": answer,
                        "map_type": kind,
                        "share": share,
                        "response": answer if right else "ba"["ab".index(answer)],
                        "rt_ms": 400 + i,
                    }
                )
    return told


@pytest.fixture(scope="module")
def trials(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("trials") / "trials.csv"
    pd.DataFrame(rows()).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def found(trials) -> Analysis:
    """What is found in them; nobody changes it."""
    return analyse(read_trials(trials), ANALYSING)


@pytest.fixture
def bad(tmp_path) -> Path:
    """Beside the others, one who guesses and one who is away."""
    table = rows()
    for row in rows(n_people=1):
        if row["map_type"] == "players":
            table.append({**row, "participant": "guesser", "response": "a"})
            table.append({**row, "participant": "away", "response": None})
    path = tmp_path / "bad.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    return path


def test_the_less_a_map_has_to_reveal_the_lower_is_its_threshold(found):
    assert found.guess == 0.5
    rows = found.tables["thresholds"]
    assert [*rows] == [*MIDDLES]  # in the order of the table
    for name in ("players", "bottom_up"):
        share, low, high = (rows[name][key] for key in ("share", "low", "high"))
        assert low <= share <= high and abs(np.log10(share) - MIDDLES[name]) < 0.2
        assert (rows[name]["participants"], rows[name]["trials"]) == (6, 6 * 16 * 5)
    assert rows["players"]["high"] < rows["bottom_up"]["low"]


def test_accuracies_and_comparisons_are_of_participants(found):
    accuracy = found.tables["accuracy"]["players"]
    assert [*accuracy] == ["0 %", "3 %", "10 %", "30 %", "100 %"] and accuracy["100 %"].mean == 1
    assert accuracy["10 %"].n == 6
    assert [*found.tests] == [
        ("players", "bottom_up"),
        ("players", "random"),
        ("bottom_up", "random"),
    ]
    row = found.tables["comparisons"]["players_minus_random_at_10_%"]
    assert row["difference"] > 0.3 and row["p"] <= row["holm"] < 0.05 and row["n"] == 12


def test_only_asked_for_pairs_are_tested(trials):
    found = analyse(read_trials(trials), replace(BRIEF, pairs=[("random", "players")]))
    assert [*found.tests] == [("random", "players")]
    assert found.tables["comparisons"]["random_minus_players_at_10_%"]["difference"] < -0.3


def test_what_is_known_of_blank_images_is_set_against_chance(trials, found, tmp_path):
    assert found.leak is not None and found.leak.n == 18 and found.leak.p > 0.05
    assert describe_leak(found).endswith(f"chance 0.5 (p {found.leak.p:.2g}, 18 participants).")
    table = pd.read_csv(trials)
    table.loc[table["share"] == 0, "response"] = table["class"]
    table.loc[table.index[0], "response"] = "b"
    table.to_csv(tmp_path / "leak.csv", index=False)
    told = numbers_of(analyse(read_trials(tmp_path / "leak.csv"), BRIEF))["leak"]
    assert told["difference"] > 0.49 and told["p"] < 1e-6
    table[table["share"] > 0].to_csv(tmp_path / "none.csv", index=False)
    none = analyse(read_trials(tmp_path / "none.csv"), BRIEF)
    assert none.leak is None and describe_leak(none) == "" and numbers_of(none)["leak"] == {}


def test_who_is_excluded_is_told_and_changes_nothing_else(found, bad):
    with_bad = analyse(read_trials(bad), ANALYSING)
    assert {*with_bad.tables["excluded"]} == {"guesser", "away"}
    assert "excluded" not in found.tables
    for key in ("accuracy", "thresholds", "comparisons"):
        assert with_bad.tables[key] == found.tables[key]


def test_all_is_written_and_the_same_again(trials, tmp_path):
    analyse_experiment(trials, tmp_path / "out", analysing=BRIEF)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    tables = {
        f"{key}.{kind}"
        for key in ("accuracy", "thresholds", "comparisons")
        for kind in ("md", "csv")
    }
    assert names == {*tables, "tables.json", "report.json", "curves.png", ".attnlabels"}
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert (report["participants"], report["excluded"], report["trials"]) == (18, 0, 18 * 80)
    assert report["thresholds"]["players"]["share"] < report["thresholds"]["bottom_up"]["share"]
    assert "Chance is 0.5" in (tmp_path / "out/accuracy.md").read_text()
    assert read_image(tmp_path / "out/curves.png").std() > 10
    before = {name: (tmp_path / "out" / name).read_bytes() for name in names}
    analyse_experiment(trials, tmp_path / "out", analysing=BRIEF)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in names} == before


def test_what_is_reached_below_the_least_share_is_said_so(tmp_path):
    table = pd.DataFrame([row for row in rows() if row["share"] > 0])
    table.loc[table["map_type"] == "random", "response"] = table["class"]
    table.to_csv(tmp_path / "all.csv", index=False)
    found = analyse_experiment(tmp_path / "all.csv", tmp_path / "out", analysing=ANALYSING)
    row, least = found.tables["thresholds"]["random"], table["share"].min()
    assert {row[key] for key in ("share", "low", "high")} == {f"below {least:g}"}


def test_what_is_never_reached_is_said_so(tmp_path):
    table = [row for row in rows() if row["map_type"] == "random" and row["share"] < 1]
    table += [
        {**row, "map_type": "other", "participant": f"o{row['participant']}"} for row in table
    ]
    pd.DataFrame(table).to_csv(tmp_path / "few.csv", index=False)
    found = analyse_experiment(tmp_path / "few.csv", tmp_path / "out", analysing=ANALYSING)
    assert found.tables["thresholds"]["random"]["share"] == "not reached"
    assert found.tables["thresholds"]["random"]["high"] == "not reached"
    assert (
        "share"
        not in json.loads((tmp_path / "out/report.json").read_text())["thresholds"]["random"]
    )


def test_parameters_that_make_no_sense_are_refused(trials, tmp_path):
    with pytest.raises(ValueError, match="accuracy 0.4; expected one above chance, 0.5, below 1"):
        analyse_experiment(trials, tmp_path / "out", analysing=replace(ANALYSING, accuracy=0.4))
    pairs = [("players", "none")]
    with pytest.raises(ValueError, match="no map type 'none'; expected some of bottom_up"):
        analyse_experiment(trials, tmp_path / "out", analysing=replace(ANALYSING, pairs=pairs))
    assert not (tmp_path / "out").exists()
