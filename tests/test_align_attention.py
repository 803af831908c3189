import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import align_attention
from attnlabels.images.decoding import decode, resize_map
from attnlabels.images.squares import resize_centre_crop
from attnlabels.metrics.saliency import cc
from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import load_weights, read_config, write_weights
from attnlabels.pipeline.params import read
from attnlabels.shards.shards import Sample, Shards, write_shards

SCORES = ["cc", "nss", "kl", "sim", "auc", "sauc"]
READOUTS = ["as_trained", "refitted"]
Align = Callable[..., tuple[dict[str, Any], pd.DataFrame]]


@pytest.fixture(scope="module")
def labels(world, tmp_path_factory) -> Path:
    """The recordings of the train set in a teacher's place: labels are of the same form."""
    folder = tmp_path_factory.mktemp("align") / "labels"
    people = Shards(world / "data/attention/train")
    maps_by = {"kind": "teacher", "sha256": "0" * 64}
    samples: list[Sample] = [
        {**people[i], "observers": None, "label": 0} for i in range(len(people))
    ]
    write_shards(folder, samples, maximum_count=100, maps_by=maps_by, classes=["a"])
    return folder


def words(out: Path, student: Path, labels: Path, world: Path) -> list[Path]:
    sets = (world / "data/attention" / name for name in ("val", "eye"))
    return [student, labels, *sets, out / "scores.csv", out / "examples.npz", out / "report.json"]


@pytest.fixture
def align(params, student, labels, world) -> Align:
    """Scores the student into the folder `out`, with changes to `align_attention`."""

    def call(**changed) -> tuple[dict[str, Any], pd.DataFrame]:
        params({f"align_attention.{key}": value for key, value in changed.items()})
        align_attention.main(*words(Path("out"), student, labels, world))
        report = json.loads(Path("out/report.json").read_text())
        assert report.pop("made_by")["threads"] == 1
        return report, pd.read_csv("out/scores.csv")

    return call


def test_every_image_has_a_row_for_each_readout_and_the_report_is_their_mean(align):
    report, scores = align()
    assert list(scores) == ["set", "image", "readout", *SCORES]
    assert list(report) == ["refit", "val", "eye"]
    for name in ("val", "eye"):
        assert list(report[name]) == READOUTS
        for readout in READOUTS:
            assert list(report[name][readout]) == SCORES
            chosen = scores[(scores["set"] == name) & (scores["readout"] == readout)]
            assert chosen["image"].is_unique and len(chosen) == 4
            for key in SCORES:
                assert report[name][readout][key] == pytest.approx(chosen[key].mean())


def test_the_refit_lowers_the_loss_and_moves_the_maps(align):
    report, scores = align()
    assert list(report["refit"]) == ["loss_before", "loss_after"]
    assert report["refit"]["loss_after"] < report["refit"]["loss_before"] - 1e-3
    before, after = (scores[scores["readout"] == readout]["cc"].values for readout in READOUTS)
    assert np.abs(before - after).max() > 1e-3


def test_a_refit_that_ends_at_its_limit_says_so(align, caplog):
    assert align(refit_steps=1)[0]["refit"]["converged"] is False
    assert "still changing after 1 steps" in caplog.text


def test_more_steps_of_the_refit_reach_no_higher_a_loss(align):
    losses = [align(refit_steps=n)[0]["refit"]["loss_after"] for n in (1, 5, 50)]
    assert losses[0] > losses[1] >= losses[2] - 1e-6


def test_as_trained_is_the_map_of_the_head_as_it_was_stored(align, student, world):
    _, scores = align()
    config = read_config(student)
    encoder, head = (
        Encoder(**config["encoder"]),
        AttentionHead(**{key: config["attention"][key] for key in ("select", "output", "size")}),
    )
    load_weights(student, encoder, prefix="encoder.")
    load_weights(student, head, prefix="attention.")
    encoder.eval()
    trained = scores[(scores["set"] == "val") & (scores["readout"] == "as_trained")]
    by_name = trained.set_index("image")["cc"]
    for sample in Shards(world / "data/attention/val"):
        image = decode(sample["image"], name=sample["name"])
        pixels = torch.from_numpy(resize_centre_crop(image, size=24, crop=1.0))
        with torch.no_grad():
            map = head(encoder(pixels.permute(2, 0, 1)[None].float() / 255))[0].numpy()
        expected = cc(resize_map(map, 24, 32), sample["map"])
        assert by_name[sample["name"]] == pytest.approx(expected, abs=1e-4)


def test_the_size_of_a_batch_changes_no_more_than_rounding(align):
    _, by_five = align(batch_size=5)
    _, at_once = align(batch_size=100)
    np.testing.assert_allclose(by_five["cc"], at_once["cc"], atol=2e-3)


def test_a_second_run_leaves_the_same_bytes(align):
    align()
    first = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    align()
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == first
    assert set(first) == {"scores.csv", "examples.npz", "report.json"}


def test_examples_are_the_first_eye_images_with_all_maps(align, world):
    align()
    eye = Shards(world / "data/attention/eye")
    keys = {"images", "human", "maps_as_trained", "maps_refitted", "names"}
    with np.load("out/examples.npz") as examples:
        assert set(examples) == keys | {f"extreme_{key}" for key in keys}
        assert examples["names"].tolist() == [eye[i]["name"] for i in range(2)]
        np.testing.assert_array_equal(examples["human"], [eye[i]["map"] for i in range(2)])
        assert examples["maps_as_trained"].shape == examples["maps_refitted"].shape == (2, 24, 32)
        assert (examples["maps_as_trained"] != examples["maps_refitted"]).any()


def test_the_images_of_least_and_of_largest_cc_are_kept_with_their_maps(align):
    _, scores = align(examples=4)
    refitted = scores[(scores["set"] == "eye") & (scores["readout"] == "refitted")]
    ascending = refitted.sort_values("cc", kind="stable")
    with np.load("out/examples.npz") as examples:
        assert examples["extreme_names"].tolist() == ascending["image"].tolist()
        for map, human, expected in zip(
            examples["extreme_maps_refitted"], examples["extreme_human"], ascending["cc"]
        ):
            assert cc(map, human) == pytest.approx(expected, abs=1e-4)
    align(examples=3)
    with np.load("out/examples.npz") as examples:
        assert examples["extreme_names"].tolist() == [
            ascending["image"].iloc[0],
            ascending["image"].iloc[-1],
        ]


def test_labels_in_place_of_recordings_are_refused(params, fail, student, labels, world):
    arguments = words(Path("out"), student, labels, world)
    arguments[2] = labels
    message = fail(align_attention, *arguments)
    assert "its maps are by a teacher; expected recordings of people" in message


def test_weights_that_do_not_fit_are_refused(params, fail, student, teacher, labels, world):
    message = fail(align_attention, *words(Path("out"), teacher, labels, world))
    assert "teacher.safetensors holds no encoder" in message
    config = read_config(student)
    only = torch.nn.ModuleDict({"encoder": Encoder(**config["encoder"])})
    write_weights(Path("w.safetensors"), only, config)
    message = fail(align_attention, *words(Path("out"), Path("w.safetensors"), labels, world))
    assert "w.safetensors: attention.readout.bias is missing" in message


def test_an_unknown_parameter_is_one_clear_error(params, fail, student, labels, world):
    tree = read()
    tree["align_attention"]["refit"] = 3
    Path("params.yaml").write_text(json.dumps(tree))
    message = fail(align_attention, *words(Path("out"), student, labels, world))
    assert "params.yaml: align_attention.refit is unknown; remove it" in message


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(
    params, fail, student, labels, world
):
    Path("out").write_text("a file where the folder should be")
    assert "out" in fail(align_attention, *words(Path("out"), student, labels, world))


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    params, fail, full_disk, student, labels, world
):
    with full_disk(2_000):
        message = fail(align_attention, *words(Path("out"), student, labels, world))
    assert "examples.npz: cannot be written" in message and "File too large" in message
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["params.yaml"]
