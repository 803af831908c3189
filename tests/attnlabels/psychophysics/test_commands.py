"""The commands `attnlabels experiment make` and `analyse`, as a shell calls them."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from attnlabels.commands import experiment as commands
from attnlabels.psychophysics.making import Control
from attnlabels.psychophysics.stimuli import Background
from attnlabels.psychophysics.trials import read_stimuli
from painted import write_painted_pictures


@pytest.fixture
def call(tmp_path: Path, monkeypatch, command) -> Callable[..., tuple[int, str, str]]:
    """The status of the command, what it prints and what it says of errors, in a folder of data."""
    monkeypatch.chdir(tmp_path)
    write_painted_pictures(tmp_path)
    return partial(command, "experiment")


MAKE = ("make", "players=people", "part", "--images", "images", "--out", "out")


def answered(stimuli: pd.DataFrame) -> pd.DataFrame:
    """The answers of twelve people who know the class of what is revealed of parts."""
    rng = np.random.default_rng(0)
    people = [
        stimuli[stimuli["set"] == number % stimuli["set"].nunique()].assign(participant=number)
        for number in range(2 * stimuli["set"].nunique())
    ]
    trials = pd.concat(people)
    known = (trials["share"] > 0.3) | ((trials["map_type"] == "part") & (trials["share"] > 0.05))
    guess = rng.choice([*"abc"], len(trials))
    return trials.assign(response=trials["class"].where(known, guess), rt_ms=450)


def test_an_experiment_is_made_and_analysed(call):
    status, out, _ = call(*MAKE, "--levels", "3", "--control", "random")
    assert status == 0
    assert out == "out: 11 images, 3 map types, 4 levels, 12 sets, 88 pictures\n"
    stimuli = read_stimuli(Path("out/stimuli.csv"))
    assert sorted({*stimuli["share"]}) == [0, 0.01, 0.1, 1]
    answered(stimuli).to_csv("trials.csv", index=False)
    pairs = ("--pair", "part=random", "--pair", "part=players")
    analyse = ("analyse", "trials.csv", "--out", "results", "--resamples", "20")
    status, out, _ = call(*analyse, *pairs)
    assert status == 0
    *lines, leak = out.splitlines()
    told = dict(line.split(": accuracy 0.75 at ") for line in lines)
    assert leak.startswith("Where nothing is revealed accuracy is 0.")
    assert told.keys() == {"players", "part", "random"}
    assert float(told["part"].partition("%")[0]) < float(told["random"].partition("%")[0])
    assert "| part minus random at 10 % |" in Path("results/comparisons.md").read_text()
    assert Path("results/curves.png").is_file()


def test_who_is_left_out_is_said(call):
    call(*MAKE, "--levels", "3")
    trials = answered(read_stimuli(Path("out/stimuli.csv")))
    trials.loc[trials["participant"] == 3, "response"] = "a"
    trials.to_csv("trials.csv", index=False)
    analyse = ("analyse", "trials.csv", "--out", "results", "--resamples", "20")
    status, out, _ = call(*analyse, "--whole-accuracy", "0.7")
    assert status == 0 and out.startswith("left out: 3: 0.")


def test_a_second_experiment_never_takes_the_first_ones_place(call):
    assert call(*MAKE, "--levels", "2")[0] == 0
    Path("out/notes.txt").write_text("mine")
    before = {path: path.stat() for path in sorted(Path("out").rglob("*"))}
    status, out, err = call(*MAKE)
    assert (status, out) == (1, "")
    assert err == "attnlabels: error: out is there already; name another place\n"
    assert {path: path.stat() for path in sorted(Path("out").rglob("*"))} == before
    assert sorted({*read_stimuli(Path("out/stimuli.csv"))["share"]}) == [0, 0.01, 1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("make", "part", "nowhere", "--images", "images", "--out", "out"), "nowhere: no such fo"),
        (("make", "part", "object", "--images", "none", "--out", "out"), "none: no such folder"),
        (("make", "part", "--images", "images", "--out", "out"), "part: nothing to compare"),
        ((*MAKE, "--per-class", "9"), "images with all maps, 9 are asked for"),
        (("analyse", "none.csv", "--out", "out"), "none.csv: no such table"),
    ],
)
def test_what_is_wrong_is_one_line_with_status_1(call, words, message):
    status, out, err = call(*words)
    assert (status, out) == (1, "") and len(err.splitlines()) == 1
    assert err.startswith("attnlabels: error: ") and message in err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "words",
    [
        (*MAKE, "--background", "white"),
        (*MAKE, "--control", "none"),
        (*MAKE, "--least", "0"),
        ("make", "=people", "part", "--images", "images", "--out", "out"),
        ("analyse", "trials.csv", "--out", "out", "--pair", "part"),
    ],
)
def test_misuse_is_status_2(call, words):
    assert call(*words)[0] == 2


def test_the_commands_choices_are_the_librarys():
    assert [each.value for each in commands.Control] == [*get_args(Control)]
    background = signature(commands.make_experiment_).parameters["background"].annotation
    assert get_args(get_args(background)[0]) == get_args(Background)
