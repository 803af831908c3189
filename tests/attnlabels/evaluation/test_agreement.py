import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from attnlabels import Running, Scoring, Shown, evaluate
from attnlabels.evaluation.teacher_scores import score_halves
from attnlabels.metrics.alignment import SCORES
from attnlabels.metrics.search import Best
from attnlabels.readouts import ridge
from attnlabels.shards.shards import Sample, Shards, write_shards

READ = ("head", "linear", "norm", "centre_prior", "random_head", "random_linear", "random_norm")
NETWORKS = {
    "timm:resnet10t": 32,
    "timm:vit_tiny_patch16_224": 224,
    "timm:deit_tiny_distilled_patch16_224": 224,
    "torchvision:resnet18": 64,
}


@pytest.fixture(autouse=True)
def alone(params):
    """In a folder of its own, with a cache of its own."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    files = {}
    for name in NETWORKS:
        kind, _, bare = name.partition(":")
        torch.manual_seed(7)
        network = (
            timm.create_model(bare, num_classes=0)
            if kind == "timm"
            else torchvision.models.get_model(bare, weights=None)
        )
        files[name] = folder / f"{bare}.safetensors"
        save_file(network.state_dict(), files[name])
    return files


@pytest.fixture(scope="module")
def eye(world) -> Path:
    return world / "data/attention/eye"


def align(encoder: object, eye: Path, **given: Any) -> dict[str, Any]:
    """What is written of the set, read again."""
    size = NETWORKS.get(str(encoder))
    shown = given.pop("shown", Shown(size=size))
    evaluate(
        str(encoder),
        on=["alignment"],
        attention={"eye": eye},
        out=Path("out"),
        name="run",
        shown=shown,
        running=Running(batch_size=3),
        **given,
    )
    return json.loads(Path("out/align_attention/run-0.json").read_text())


def scored(found: dict[str, Any]) -> list[str]:
    """The readouts with all scores."""
    return [
        key for key, value in found.items() if isinstance(value, dict) and {*SCORES} <= {*value}
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_any_encoder_is_read_across_folds_of_the_recordings(name, weights, eye):
    found = align(name, eye, weights=weights[name])["eye"]
    token = "vit" in name or "deit" in name
    tokens = {"class_token", "random_class_token"} if token else set()
    assert {*scored(found)} == {*READ} | tokens
    assert ("class_token" in found["left_out"]) is not token
    assert found["n"] == 4 and found["undefined"] == 0 and found["crop"] == 1.0
    assert found["fitted_on"].startswith("these recordings, 4 folds by image")
    assert {*found["se"]} == {*found["constant"]} == {*scored(found)}
    assert all(found["se"][key].keys() == {*SCORES} for key in scored(found))
    assert {key: len(each) for key, each in found["penalty"].items()} == {
        "linear": 4,
        "random_linear": 4,
    }
    assert found["penalty_at_end"].keys() == found["penalty"].keys()
    assert 0 < found["split_half"]["cc"] < found["split_half"]["cc_all_observers"] < 1


def test_labels_are_fitted_on_and_a_teacher_stands_beside(weights, eye, people_as_labels, teacher):
    name = "torchvision:resnet18"
    found = align(name, eye, weights=weights[name], labels=people_as_labels, teacher=teacher)
    assert list(found) == ["eye"]
    assert {*scored(found["eye"])} == {*READ, "teacher"}
    assert (
        found["eye"]["fitted_on"]
        == f"{len(Shards(people_as_labels))} images of labels, maps by teacher"
    )
    assert len(found["eye"]["penalty"]["linear"]) == 1


def test_fits_whose_penalty_may_lie_beyond_are_counted(weights, eye, monkeypatch):
    def search(*words: object, **options: object) -> Best:
        return found_by(*words, **options)._replace(why_ended="no more is tried")

    found_by = ridge.search
    monkeypatch.setattr(ridge, "search", search)
    name = "timm:resnet10t"
    found = align(name, eye, weights=weights[name])["eye"]
    assert found["penalty_at_end"] == {"linear": 4, "random_linear": 4}


def test_the_twins_weights_are_those_of_the_seed_alone(weights, eye):
    name = "timm:resnet10t"
    first = align(name, eye, weights=weights[name])["eye"]
    torch.manual_seed(123)
    assert align(name, eye, weights=weights[name])["eye"] == first
    other = Path("other.safetensors")
    torch.manual_seed(8)
    save_file(timm.create_model("resnet10t", num_classes=0).state_dict(), other)
    shutil.rmtree("out")  # where no other file's scores may come
    second = align(name, eye, weights=other)["eye"]
    for readout in scored(first):
        alike = readout.startswith("random_") or readout == "centre_prior"
        assert (first[readout] == second[readout]) is alike


def test_a_student_keeps_its_own_maps_and_is_read_as_others_are(student, eye, people_as_labels):
    own = {"as_trained"}
    found = align(student, eye)
    assert list(found) == ["eye"] and {*scored(found["eye"])} == {*READ} | own
    found = align(student, eye, labels=people_as_labels)
    assert {*found} == {"refit", "eye"}
    assert list(found["eye"])[:2] == ["as_trained", "refitted"]
    # The same four parameters, fitted to the same images to the same end.
    assert found["eye"]["head"]["cc"] == pytest.approx(found["eye"]["refitted"]["cc"], abs=0.02)


def test_the_readouts_asked_for_are_read_and_no_others(weights, eye):
    name = "timm:resnet10t"
    scoring = Scoring(readouts=("norm",))
    found = align(name, eye, weights=weights[name], scoring=scoring)["eye"]
    assert {*scored(found)} == {"norm", "random_norm", "centre_prior"}
    assert found["penalty"] == {} and found["left_out"] == {}


def test_a_part_of_the_photograph_is_compared_where_a_part_is_shown(weights, eye, teacher):
    name = "timm:resnet10t"
    found = align(
        name, eye, weights=weights[name], teacher=teacher, shown=Shown(size=32, crop=0.9)
    )["eye"]
    assert found["crop"] == 0.9 and "teacher" in scored(found)
    assert "split_half" not in found
    assert "whole photographs" in found["left_out"]["split_half"]


def test_where_nobody_says_who_looked_there_are_no_halves(weights, world, tmp_path):
    people = Shards(world / "data/attention/eye")
    samples: list[Sample] = [{**people[i], "observers": None} for i in range(len(people))]
    folder = tmp_path / "unnamed"
    write_shards(folder, samples, maximum_count=9, maps_by=people.index["maps_by"], classes=[])
    found = align("timm:resnet10t", folder, weights=weights["timm:resnet10t"])["eye"]
    assert "split_half" not in found and "two people or more" in found["left_out"]["split_half"]


def test_where_maps_weigh_by_duration_there_are_no_halves(weights, eye, tmp_path):
    people, folder = Shards(eye), tmp_path / "cub"
    drawn = {key: people.index["maps_by"][key] for key in ("sigma_px", "sigma_width")}
    told = {"kind": "human", "annotations": "gaze.txt", "split": "test", "outside": "drop"}
    write_shards(folder, [*people], maximum_count=9, maps_by=told | drawn, classes=[])
    found = align("timm:resnet10t", folder, weights=weights["timm:resnet10t"])["eye"]
    assert found["n"] == 4 and {*scored(found)} == {*READ} and "split_half" not in found
    why = "its maps weigh fixations by duration, which shards do not keep"
    assert found["left_out"]["split_half"] == why
    with pytest.raises(ValueError, match="cub: its maps weigh fixations by duration, .*; name rec"):
        next(score_halves(folder, splits=2, seed=0))


def test_constant_maps_are_counted(weights, eye):
    still = Path("still.safetensors")
    network = timm.create_model("resnet10t", num_classes=0)
    save_file({key: torch.zeros_like(value) for key, value in network.state_dict().items()}, still)
    found = align("timm:resnet10t", eye, weights=still)["eye"]
    assert found["constant"]["norm"] == found["constant"]["linear"] == 4
    assert found["norm"]["cc"] == 0 and found["linear"]["auc"] == 0.5


@pytest.mark.parametrize("suffix", [".onnx", ".pt"])
def test_a_file_of_pooled_features_is_refused_in_a_line(suffix, eye):
    Path(f"features{suffix}").write_bytes(b"whatever")
    with pytest.raises(ValueError, match="only pooled features are known of such a file") as error:
        align(f"features{suffix}", eye, shown=Shown(size=32, crop=1.0, normalise="half"))
    assert "\n" not in str(error.value)


def test_what_does_not_fit_is_refused_before_anything_is_computed(weights, eye):
    name = "timm:resnet10t"
    given = {"weights": weights[name]}
    with pytest.raises(ValueError, match="no readout 'sum'; expected some of head, linear, norm"):
        align(name, eye, scoring=Scoring(readouts=("sum",)), **given)
    with pytest.raises(FileNotFoundError, match="index.json: not here"):
        align(name, Path("nowhere"), **given)
    with pytest.raises(ValueError, match="comes without weights, and none are downloaded"):
        align(name, eye)
    with pytest.raises(ValueError, match="timm:mixer_s32_224: no maps can be read of it"):
        mixer = Path("mixer.safetensors")
        network = timm.create_model("mixer_s32_224", num_classes=0)
        save_file(network.state_dict(), mixer)
        align("timm:mixer_s32_224", eye, weights=mixer, shown=Shown(size=64))
    with pytest.raises(ValueError, match="is in .*eye and in .*eye, and would be scored by what"):
        align(name, eye, labels=eye, **given)
    with pytest.raises(ValueError, match="resnet10t.safetensors has no config in its header"):
        align(name, eye, teacher=weights[name], **given)
    assert not list(Path("out").glob("*/*"))


@pytest.mark.parametrize("kind", ["teacher", "players", "masks"])
def test_labels_of_whatever_kind_are_of_no_photograph_that_is_scored(weights, eye, tmp_path, kind):
    people, folder = Shards(eye), tmp_path / "labels"
    maps_by = people.index["maps_by"] | {"kind": kind}
    write_shards(folder, [*people], maximum_count=9, maps_by=maps_by, classes=[])
    name = "timm:resnet10t"
    with pytest.raises(
        ValueError, match="is in .*labels and in .*eye, and would be scored by what"
    ):
        align(name, eye, weights=weights[name], labels=folder)


def test_a_recording_that_nothing_correlates_with_is_left_out_of_a_students_scores_too(
    student, eye, people_as_labels, tmp_path
):
    samples = [dict(each) for each in Shards(eye)]
    samples[1]["map"] = np.ones_like(samples[1]["map"])
    maps_by, folder = Shards(eye).index["maps_by"], tmp_path / "flat"
    write_shards(folder, samples, maximum_count=9, maps_by=maps_by, classes=[])
    found = align(student, folder, labels=people_as_labels)["eye"]
    assert (found["n"], found["undefined"]) == (3, 1)
    assert {"as_trained", "refitted"} <= {*scored(found)}


def test_two_recordings_are_too_few_to_fit_across(weights, eye, tmp_path):
    people = Shards(eye)
    folder = tmp_path / "two"
    samples = [people[i] for i in range(2)]
    write_shards(folder, samples, maximum_count=9, maps_by=people.index["maps_by"], classes=[])
    with pytest.raises(ValueError, match="two: 2 images; to fit, to choose a penalty and to score"):
        align("timm:resnet10t", folder, weights=weights["timm:resnet10t"])


def test_weights_that_are_not_finite_are_told(eye):
    broken = Path("broken.safetensors")
    state = timm.create_model("resnet10t", num_classes=0).state_dict()
    state["layer3.0.conv1.weight"] = torch.full_like(state["layer3.0.conv1.weight"], np.nan)
    save_file(state, broken)
    with pytest.raises(ValueError, match="timm:resnet10t: no maps .* features are not finite"):
        align("timm:resnet10t", eye, weights=broken)
