import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import evaluate_teacher
from attnlabels.evaluation import teacher_scores
from attnlabels.images.decoding import decode, resize
from attnlabels.metrics.saliency import cc, kl
from attnlabels.metrics.statistics import spearman_brown
from attnlabels.models.files import write_weights
from attnlabels.pipeline.params import read
from attnlabels.recordings.density import centre_prior
from attnlabels.shards.shards import Shards
from attnlabels.teachers.network import OUTPUT, Teacher

SCORES = ["cc", "nss", "kl", "sim", "auc", "sauc", "floor"]
READOUTS = ["teacher", "centre_prior", "split_half"]
Evaluate = Callable[[], tuple[dict[str, Any], pd.DataFrame]]


def words(out: Path, teacher: Path, world: Path) -> list[Path]:
    """The arguments that score the teacher into the folder `out`."""
    sets = (world / "data/attention" / name for name in ("val", "eye"))
    return [teacher, *sets, out / "scores.csv", out / "examples.npz", out / "report.json"]


@pytest.fixture
def evaluate(params, teacher, world) -> Evaluate:
    """Scores the teacher into the folder `out`; returns the report and the images' scores."""

    def call() -> tuple[dict[str, Any], pd.DataFrame]:
        evaluate_teacher.main(*words(Path("out"), teacher, world))
        report = json.loads(Path("out/report.json").read_text())
        assert report.pop("made_by")["threads"] == 1
        return report, pd.read_csv("out/scores.csv")

    return call


def test_every_image_has_a_row_for_each_readout_and_the_report_is_their_mean(evaluate):
    report, scores = evaluate()
    assert list(scores) == ["set", "image", "readout", *SCORES]
    assert list(report) == ["val", "eye"]
    for name, found in report.items():
        assert list(found) == [*READOUTS, "n"] and found["n"] == 4
        assert list(found["centre_prior"]) == SCORES
        assert list(found["teacher"]) == [*SCORES, "constant"] and found["teacher"]["constant"] == 0
        assert list(found["split_half"]) == ["cc", "cc_all_observers"]
        for readout in READOUTS:
            chosen = scores[(scores["set"] == name) & (scores["readout"] == readout)]
            assert chosen["image"].is_unique and len(chosen) == 4
            for key in SCORES:
                if key in found[readout]:
                    assert found[readout][key] == pytest.approx(chosen[key].mean())
                else:
                    assert chosen[key].isna().all()


def test_the_centre_prior_scores_the_same_maps_by_hand(evaluate, world):
    report, _ = evaluate()
    people = Shards(world / "data/attention/val")
    by_hand = [cc(centre_prior(24, 32), people[i]["map"]) for i in range(4)]
    assert report["val"]["centre_prior"]["cc"] == pytest.approx(np.mean(by_hand))


def test_half_of_the_observers_predict_the_other_half_worse_than_all_would(evaluate):
    for found in evaluate()[0].values():
        half = found["split_half"]["cc"]
        assert 0 < half < found["split_half"]["cc_all_observers"] <= 1
        assert found["split_half"]["cc_all_observers"] == pytest.approx(spearman_brown(half))


def test_a_teacher_that_knows_the_densities_has_a_cc_of_1_on_every_image(
    evaluate, monkeypatch, world
):
    known = {}
    for name in ("val", "eye"):
        for sample in Shards(world / "data/attention" / name):
            known[decode(sample["image"], name="").tobytes()] = sample["map"]
    monkeypatch.setattr(
        teacher_scores,
        "predict",
        lambda _, images, __: np.stack([known[each.tobytes()] for each in images]),
    )
    _, scores = evaluate()
    teacher = scores[scores["readout"] == "teacher"]
    assert len(teacher) == 8
    np.testing.assert_allclose(teacher["cc"], 1, atol=1e-5)
    np.testing.assert_allclose(teacher["kl"], 0, atol=1e-4)


@pytest.mark.parametrize("output", OUTPUT)
def test_a_teacher_whose_branches_all_died_scores_as_chance_and_is_counted(params, world, output):
    model = {"taps": [3, 7], "pool_stride": 1, "output": output}
    dead = Teacher(**model)
    for branch in dead.branches:
        nn.init.zeros_(branch.collapse.weight)
        nn.init.constant_(branch.collapse.bias, -200.0)
    about = {
        "teacher": model,
        "image_size": [24, 32],
        "sigma_px": [2.0, 2.0],
        "fitted_sigma_px": [2.0, 2.0],
    }
    write_weights(Path("dead.safetensors"), dead, about)
    evaluate_teacher.main(*words(Path("out"), Path("dead.safetensors"), world))
    report = json.loads(Path("out/report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    chance = {"cc": 0, "nss": 0, "auc": 0.5, "sauc": 0.5, "floor": 1, "constant": 4}
    for name, found in report.items():
        people = Shards(world / "data/attention" / name)
        assert found["teacher"].items() >= chance.items() and len(people) == 4
        uniform = [kl(np.ones((24, 32)), each["map"]) for each in people]
        assert found["teacher"]["kl"] == pytest.approx(np.mean(uniform), rel=1e-5)


def test_the_literal_teacher_has_a_floor_of_one_half_or_more(params, world):
    floors = {}
    for output in ("literal", "tanh_half"):  # of the same sum
        torch.manual_seed(0)
        model = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": output}
        weights = Path(f"{output}.safetensors")
        about = {
            "teacher": model,
            "image_size": [24, 32],
            "sigma_px": [2.0, 2.0],
            "fitted_sigma_px": [2.0, 2.0],
        }
        write_weights(weights, Teacher(**model), about)
        evaluate_teacher.main(*words(Path("out"), weights, world))
        scores = pd.read_csv("out/scores.csv")
        floors[output] = scores[scores["readout"] == "teacher"]["floor"]
    assert floors["literal"].between(0.5, 1).all()
    assert (floors["tanh_half"] < floors["literal"].min()).all()


def test_a_second_run_leaves_the_same_bytes(evaluate):
    evaluate()
    first = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    evaluate()
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == first
    assert set(first) == {"scores.csv", "examples.npz", "report.json"}


def test_examples_are_the_first_eye_images_with_both_maps(evaluate, world):
    evaluate()
    eye = Shards(world / "data/attention/eye")
    with np.load("out/examples.npz") as examples:
        assert set(examples) == {"images", "human", "maps", "names"}
        assert examples["names"].tolist() == [eye[i]["name"] for i in range(2)]
        np.testing.assert_array_equal(examples["human"], [eye[i]["map"] for i in range(2)])
        images = [resize(decode(eye[i]["image"], name=""), 24, 32) for i in range(2)]
        np.testing.assert_array_equal(examples["images"], images)
        assert examples["maps"].shape == (2, 24, 32)


def test_the_size_of_a_batch_changes_no_more_than_rounding(evaluate, params):
    _, one = evaluate()
    params({"evaluate_teacher.batch_size": 3})
    _, other = evaluate()
    pd.testing.assert_frame_equal(one, other, rtol=1e-4, atol=1e-5)


def test_another_seed_splits_the_observers_otherwise_and_moves_nothing_else(evaluate, params):
    before, _ = evaluate()
    params({"evaluate_teacher.seed": 1})
    after, _ = evaluate()
    for name in before:
        assert after[name]["split_half"] != before[name]["split_half"]
        assert after[name]["teacher"] == before[name]["teacher"]


def test_weights_of_another_network_are_refused(params, fail, student, world):
    message = fail(evaluate_teacher, *words(Path("out"), student, world))
    assert "student.safetensors holds no teacher" in message


def test_weights_cut_short_are_refused(params, fail, teacher, world):
    Path("cut.safetensors").write_bytes(teacher.read_bytes()[:-1000])
    message = fail(evaluate_teacher, *words(Path("out"), Path("cut.safetensors"), world))
    assert "cut.safetensors is not a whole safetensors file" in message


def test_an_unknown_parameter_is_one_clear_error(params, fail, teacher, world):
    tree = read()
    tree["evaluate_teacher"]["split"] = 3
    Path("params.yaml").write_text(json.dumps(tree))
    message = fail(evaluate_teacher, *words(Path("out"), teacher, world))
    assert "params.yaml: evaluate_teacher.split is unknown; remove it" in message


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(params, fail, teacher, world):
    Path("out").write_text("a file where the folder should be")
    assert "out" in fail(evaluate_teacher, *words(Path("out"), teacher, world))


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(params, fail, full_disk, teacher, world):
    with full_disk(2_000):
        message = fail(evaluate_teacher, *words(Path("out"), teacher, world))
    assert "examples.npz: cannot be written" in message and "File too large" in message
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["params.yaml"]
