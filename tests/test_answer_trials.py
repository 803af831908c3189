import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import answer_trials
from attnlabels.images.decoding import read_image
from attnlabels.interpretation.frozen import open_classifier
from attnlabels.psychophysics.trials import read_stimuli, read_trials
from painted import write_classifier, write_stimuli

SECTION = {"count": 14, "noise_sd": [0.0, 5.0], "batch_size": 10, "seed": 0}


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    write_stimuli(folder)
    (folder / "networks").mkdir()
    for seed in (0, 3):
        write_classifier(folder / f"networks/observer-{seed}.safetensors", block="none")
    return folder


@pytest.fixture
def take_part(tmp_path, monkeypatch, experiment) -> Callable[..., Path]:
    """Lets two networks take part, with changes to the section."""
    monkeypatch.chdir(tmp_path)

    def call(*, seeds=(0, 3), out: str = "trials.csv", **changed) -> Path:
        tree = {
            "threads": 1,
            "study": {"observer": {}},
            "study_seeds": [*seeds],
            "answer_trials": SECTION | changed,
        }
        Path("params.yaml").write_text(json.dumps(tree))
        stimuli, networks = experiment / "stimuli", experiment / "networks"
        answer_trials.main("study", stimuli, networks, Path(out))
        return Path(out)

    return call


def test_each_participant_sees_each_image_of_its_set_once(take_part, experiment):
    trials = read_trials(take_part())
    stimuli = read_stimuli(experiment / "stimuli/stimuli.csv")
    assert len(trials) == 14 * 9 and trials["answered"].all()
    cells = ["image", "class", "map_type", "share"]
    for who, own in trials.groupby("participant"):
        seen = stimuli[stimuli["set"] == int(who) % 6][cells]
        pd.testing.assert_frame_equal(
            own[cells].sort_values("image").reset_index(drop=True),
            seen.sort_values("image").reset_index(drop=True),
        )
    told = trials.groupby("participant")[["network", "noise_sd"]].nunique()
    assert (told == 1).all(axis=None)
    assert {*trials["network"]} == {"observer-0", "observer-3"}


def test_without_noise_answers_are_the_networks_own(take_part, experiment):
    trials = pd.read_csv(take_part(noise_sd=[0.0], seeds=[0]))
    stimuli = read_stimuli(experiment / "stimuli/stimuli.csv")
    network = open_classifier(experiment / "networks/observer-0.safetensors", n_classes=3)
    by_cell = {
        (row["image"], row["map_type"], row["share"]): row["stimulus"]
        for _, row in stimuli.iterrows()
    }
    for _, row in trials.iterrows():
        path = by_cell[row["image"], row["map_type"], row["share"]]
        logits = network.see(np.stack([read_image(experiment / "stimuli" / path)])).logits
        assert row["response"] == "abc"[int(logits.argmax())]


def test_noise_changes_answers_and_the_same_seed_changes_none(take_part):
    first = take_part()
    again, other = take_part(out="again.csv"), take_part(out="other.csv", seed=1)
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_a_network_that_is_missing_or_has_other_classes_is_named(take_part, experiment):
    with pytest.raises(FileNotFoundError, match="observer-7.safetensors"):
        take_part(seeds=[7])
    write_classifier(experiment / "networks/observer-9.safetensors", n_classes=5)
    with pytest.raises(ValueError, match="observer-9.safetensors"):
        take_part(seeds=[9])
    assert not Path("trials.csv").exists()


def test_a_section_that_makes_no_participants_is_refused(take_part):
    with pytest.raises(ValueError, match="answer_trials.count: .*greater than or equal to 2"):
        take_part(count=1)
    with pytest.raises(ValueError, match="answer_trials.noise_sd: .*at least 1"):
        take_part(noise_sd=[])
