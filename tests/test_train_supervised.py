import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import train_supervised
from attnlabels.models.encoder import Encoder
from attnlabels.models.files import load_weights, read_config
from attnlabels.pipeline.params import read
from attnlabels.readouts.students import FrozenStudent, align
from attnlabels.shards import labelled_squares
from interrupting import interrupt
from recipes import SUPERVISED

RUNS = ("supervised_resnet10", "supervised_resnet10_attn_teacher")
TERMS = ["classification", "kld", "nss"]
EMBEDDED = read(Path(__file__).parents[1] / "params/embedded.yaml")
COLUMNS = {field.name for field in dataclasses.fields(train_supervised.Row)}
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def labels(tmp_path_factory, write_labels) -> Path:
    return write_labels(tmp_path_factory.mktemp("supervised") / "labels", seed=0)


@pytest.fixture
def words(listed, labels, world) -> Callable[..., list[Any]]:
    """The arguments that train a run into a folder."""

    def call(out: str, *, name: str = RUNS[1], seed: int = 0, val: Path = world) -> list[Any]:
        images, manifest = val / "data/scenes/imagenet/val", val / "data/images/val.csv"
        files = ("network.safetensors", "curve.csv", "report.json")
        outs = (Path(out) / file for file in files)
        return [listed(name, labels, study="supervised"), seed, images, manifest, *outs]

    return call


@pytest.fixture
def train(params, words) -> Train:
    """Trains a run into a folder, with changes to the section `train_supervised` or to its row."""

    def call(out: str, *, name: str = RUNS[1], seed: int = 0, **changed) -> Path:
        columns = {"map_size": 6} | {k: v for k, v in changed.items() if k in COLUMNS}
        section = SUPERVISED | {k: v for k, v in changed.items() if k not in COLUMNS}
        row = EMBEDDED["supervised"][name] | columns
        params({f"supervised.{name}": row, "train_supervised": section})
        train_supervised.main(*words(out, name=name, seed=seed))
        return Path(out)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "curve.csv").open(newline="") as file:
        return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def encoder(out: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(out / "network.safetensors")
    return {key: value for key, value in tensors.items() if key.startswith("encoder.")}


def test_a_run_leaves_weights_a_curve_and_a_report_that_later_stages_read(train, world):
    out = train("out")
    assert list(rows(out)[0]) == ["epoch", "step", "lr", "loss", *TERMS]
    report = json.loads((out / "report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    assert list(report) == ["loss", "steps", "probe"] and report["steps"] == 6
    assert report["loss"] == {key: rows(out)[-1][key] for key in ("loss", *TERMS)}
    weights = out / "network.safetensors"
    config = read_config(weights, "encoder", "attention")
    assert config["run"] == RUNS[1] and config["encoder"]["backbone"] == "resnet10"
    load_weights(weights, Encoder(**config["encoder"]), prefix="encoder.")
    student = FrozenStudent(weights, batch_size=3)
    assert list(align(student, world / "data/attention/val").maps) == ["as_trained"]


def test_a_step_that_does_not_fit_is_refused_and_what_is_offered_fits(train, small_memory):
    with pytest.raises(ValueError, match=r"set train_supervised\.batch_size to 2"):
        train("none")
    assert not Path("none").exists()
    assert (train("out", batch_size=2) / "network.safetensors").is_file()


def test_the_loss_is_the_weighted_sum_of_its_terms(train):
    weights = {"classification": 1.0, "kld": 2.0, "nss": 0.5}
    for row in rows(train("out", weights=weights)):
        assert row["loss"] == pytest.approx(
            row["classification"] + 2 * row["kld"] + 0.5 * row["nss"], rel=1e-5
        )


def test_the_classifier_learns_the_classes(train):
    # The squares' colour is the class: no view hides it, and nothing else tells it.
    out = train("out", epochs=30, learning_rate=0.4, checkpoint_minutes=60.0)
    assert rows(out)[-1]["classification"] < 0.5 * rows(out)[0]["classification"]


@pytest.mark.parametrize(("name", "feels"), list(zip(RUNS, (False, True))))
def test_the_baselines_encoder_does_not_feel_the_labels_and_the_other_does(train, name, feels):
    weak, strong = (
        encoder(train(f"kld{kld}", name=name, weights={"classification": 1.0, "kld": kld}))
        for kld in (1.0, 5.0)
    )
    assert all(torch.equal(weak[key], strong[key]) for key in weak) is not feels


def test_while_something_is_chosen_no_validation_image_is_read(train, monkeypatch):
    def refuse(*_: Any) -> None:
        raise AssertionError("a validation image was read")

    monkeypatch.setattr(labelled_squares.Listed, "__call__", refuse)
    report = json.loads((train("out", development=1 / 3, batch_size=4) / "report.json").read_text())
    assert list(report["probe"]) == ["development_top1"]


def test_classification_reaches_the_encoder(train):
    weak, strong = (
        encoder(train(f"c{weight}", weights={"classification": weight, "kld": 1.0}))
        for weight in (0.5, 1.0)
    )
    assert not all(torch.equal(weak[key], strong[key]) for key in weak)


def test_a_run_interrupted_goes_on_to_the_same_bytes(train, monkeypatch):
    whole = contents(train("whole"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=4)
        train("cut")
    assert not list(Path().glob("cut/*"))
    assert contents(train("cut")) == whole


@pytest.mark.parametrize(
    "changed",
    [
        {"optimizer": "adamw", "learning_rate": 1e-3},
        {"optimizer": "lars"},
        {"precision": "bf16"},
        {"precision": "auto"},
        {"backbone": "resnet18", "attention_output": "sigmoid", "joint_batch_norm": False},
    ],
    ids=lambda changed: "-".join(changed),
)
def test_every_option_trains(train, changed):
    assert rows(train("out", epochs=1, warmup_epochs=0.0, **changed))[0]["loss"] > 0


@pytest.mark.parametrize("name", ["gala", "features", "side_head"])
def test_attention_inside_of_units_is_held_to_the_views_maps(train, name):
    held = {"unit_attention": name, "attended_stage": 2, "epochs": 1, "warmup_epochs": 0.0}
    weak, strong = (
        train(f"m{weight}", weights={"classification": 1.0, "unit_distance": weight}, **held)
        for weight in (1.0, 3.0)
    )
    for out, weight in ((weak, 1.0), (strong, 3.0)):
        row = rows(out)[0]
        assert list(row) == ["epoch", "step", "lr", "loss", "classification", "unit_distance"]
        total = row["classification"] + weight * row["unit_distance"]
        assert row["loss"] == pytest.approx(total, rel=1e-5)
    assert not all(torch.equal(encoder(weak)[key], each) for key, each in encoder(strong).items())
    config = read_config(weak / "network.safetensors", "encoder", "attention")
    assert config["encoder"]["unit_attention"] == name
    assert config["encoder"]["attended_stage"] == 2 and config["attention"]["source"] == "none"
    load_weights(weak / "network.safetensors", Encoder(**config["encoder"]), prefix="encoder.")


def test_attention_inside_of_units_learns_the_views_maps(train):
    weights = {"classification": 1.0, "unit_distance": 5.0}
    held = {"unit_attention": "side_head", "attended_stage": 1, "weights": weights}
    curve = rows(train("out", epochs=20, checkpoint_minutes=60.0, **held))
    assert curve[-1]["unit_distance"] < 0.8 * curve[0]["unit_distance"]


def test_the_input_gradient_is_held_to_the_views_maps(train):
    weights = {"classification": 1.0, "harmonization": 1.0}
    curve = rows(train("out", weights=weights))
    assert list(curve[0])[3:] == ["loss", "classification", "harmonization"]
    assert not all(
        torch.equal(encoder(Path("out"))[key], each)
        for key, each in encoder(train("alone", weights={"classification": 1.0})).items()
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"weights": {"classification": 1.0, "unit_distance": 1.0}},
            "no maps for unit_distance; name a module of attnlabels.unit_attention",
        ),
        (
            {"unit_attention": "gala", "attended_stage": 5},
            rf"params\.yaml: run {RUNS[1]}\.attended_stage: .*less than or equal to 4",
        ),
        ({"weights": {"classification": 1.0, "contrastive": 1.0}}, "no such terms: .'contrastive'"),
        ({"development": 0.01}, r"development = 0\.01 holds 0 of 18 images out, which leaves none"),
        ({"development": 0.99}, r"development = 0\.99 holds 18 of 18 images out"),
        ({"batch_size": 19}, "18 samples do not fill one batch of 19"),
        ({"weights": {"contrast": 1.0}}, "no such terms: .'contrast'"),
        ({"epochs": 0}, r"params\.yaml: train_supervised\.epochs: .*greater than 0"),
        ({"learning_rate": 1e30}, r"step \d: the loss is not finite"),
    ],
)
def test_what_does_not_fit_is_refused(train, changed, message):
    with pytest.raises(ValueError, match=message):
        train("out", **changed)
    assert not list(Path().glob("out/*"))


def test_validation_images_of_other_classes_are_refused(params, fail, words, world):
    listed = (world / "data/images/val.csv").read_text().splitlines()
    Path("data/images").mkdir(parents=True)
    kept = [line for line in listed if "n00000003" not in line]
    Path("data/images/val.csv").write_text("\n".join(kept) + "\n")
    message = fail(train_supervised, *words("out", val=Path()))
    assert "val.csv lists 2 classes" in message and "labels 3" in message


def test_an_unknown_column_is_named(params, fail, words):
    tree = read()
    tree["supervised"][RUNS[1]]["block"] = "mask"
    Path("params.yaml").write_text(json.dumps(tree))
    assert f"params.yaml: run {RUNS[1]}.block is unknown" in fail(train_supervised, *words("out"))


def test_a_run_that_is_not_listed_is_named(params, fail, words):
    assert "attn.json is missing; run the stage list_runs" in fail(
        train_supervised, *words("out", name="attn")
    )
