from pathlib import Path

import pytest

from attnlabels.pipeline.params import read
from attnlabels.reporting.ambiguities import AMBIGUITIES, Ambiguity, in_force

ROOT = Path(__file__).resolve().parents[3]
SHARED = {"train_simclr": {"epochs": 5, "map_size": 10}, "label_images": {"threshold": 0.2}}


def choices(parameter, runs, **more):
    return in_force(Ambiguity("A0", "?", "!", (parameter,), **more), runs, SHARED)


def test_all_sixteen_are_listed_in_order():
    assert [each.key for each in AMBIGUITIES] == [f"A{i}" for i in range(1, 17)]


@pytest.mark.parametrize("file", ["embedded", "real", "paper"])
def test_each_has_a_choice_in_every_parameter_file(file):
    tree = read(ROOT / "params" / f"{file}.yaml")
    for each in AMBIGUITIES:
        assert in_force(each, tree["main"], tree), each.key


def test_what_all_runs_share_is_said_once():
    assert choices("epochs", {"a": {}, "b": {}}) == ["epochs: 5"]
    assert choices("label_images.threshold", {"a": {}}) == ["label_images.threshold: 0.2"]


def test_a_column_of_the_rows_goes_before_what_is_shared_and_says_of_which_runs():
    runs = {"a": {"map_size": 20}, "b": {}, "c": {}}
    assert choices("map_size", runs) == ["map_size: 10", "map_size: 20 (a)"]


def test_terms_are_those_that_a_run_weighs():
    runs = {
        "a": {"weights": {"kld": 3.0, "nss": 0.1}},
        "b": {"weights": {"kld_reversed": 1.0}},
        "c": {"weights": {"probe": 1.0}},
    }
    assert choices("weights.kld", runs) == ["weights: kld 3", "weights: kld_reversed 1 (b)"]
    assert choices("weights.contrastive", runs) == []


def test_what_no_parameter_chooses_is_said_too():
    assert choices("epochs", {"a": {}}, fixed="means") == ["means", "epochs: 5"]


@pytest.mark.parametrize("parameter", ["epoch", "label_images.sigmas", "labels.threshold"])
def test_a_parameter_that_is_nowhere_is_refused(parameter):
    with pytest.raises(ValueError, match=f"A0: no parameter {parameter}"):
        choices(parameter, {"a": {}})
