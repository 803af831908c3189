import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import train_bottleneck
from attnlabels.bottleneck.frozen import open_network
from attnlabels.models.files import read_config
from interrupting import interrupt
from recipes import SUPERVISED

ROW: dict[str, Any] = {
    "backbone": "resnet10",
    "map_size": 12,
    "masked_stage": 2,
    "mask": "learnt",
    "noisy": True,
    "code": 6,
    "test_samples": 2,
    "weights": {"classification_bits": 1.0, "code_bits": 0.01},
}
ALONE = {"classification_bits": 1.0}
Train = Callable[..., Path]


@pytest.fixture(scope="module")
def labels(tmp_path_factory, write_labels) -> Path:
    return write_labels(tmp_path_factory.mktemp("bottleneck") / "labels", seed=0)


@pytest.fixture
def words(listed, labels, world) -> Callable[..., list[Any]]:
    """The arguments that train the run into a folder."""

    def call(out: str, *, seed: int = 0) -> list[Any]:
        images, manifest = world / "data/scenes/imagenet/val", world / "data/images/val.csv"
        outs = (Path(out) / file for file in ("network.safetensors", "curve.csv", "report.json"))
        return [listed("run", labels, study="study"), seed, images, manifest, *outs]

    return call


@pytest.fixture
def train(params, words) -> Train:
    """Trains a row into a folder, with changes to it or to the section `train_bottleneck`."""

    def call(out: str, *, seed: int = 0, **changed) -> Path:
        row = ROW | {k: v for k, v in changed.items() if k not in SUPERVISED}
        section = SUPERVISED | {k: v for k, v in changed.items() if k in SUPERVISED}
        tree = {"threads": 1, "study": {"run": row}, "train_bottleneck": section}
        Path("params.yaml").write_text(json.dumps(tree))
        train_bottleneck.main(*words(out, seed=seed))
        return Path(out)

    return call


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def rows(out: Path) -> list[dict[str, float]]:
    with (out / "curve.csv").open(newline="") as file:
        return [{key: float(cell) for key, cell in row.items()} for row in csv.DictReader(file)]


def report_of(out: Path) -> dict[str, Any]:
    report = json.loads((out / "report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    return report


def test_a_run_leaves_weights_a_curve_and_a_report_that_later_stages_read(train):
    out = train("out")
    terms, spreads = ["classification_bits", "code_bits"], ["mask_spread", "mask_likeness"]
    assert [*rows(out)[0]] == ["epoch", "step", "lr", "loss", *terms, *spreads]
    report = report_of(out)
    assert [*report] == ["loss", "steps", *spreads, "collapsed", "probe"]
    assert report["loss"] == {key: rows(out)[-1][key] for key in ("loss", *terms)}
    assert read_config(out / "network.safetensors", "encoder")["run"] == "run"
    assert open_network(out / "network.safetensors", n_classes=3).size == 24


def test_the_weight_of_bits_rises_over_the_ramp_and_the_total_is_of_it(train):
    # Batches of 6 of 18 images: six steps, of which the first three are the ramp of one epoch.
    first, second = rows(train("out", ramp_epochs=1.0))
    risen = second["classification_bits"] + 0.01 * second["code_bits"]
    assert second["loss"] == pytest.approx(risen, rel=1e-4)
    bits = first["loss"] - first["classification_bits"]
    assert 0 < bits < 0.6 * 0.01 * first["code_bits"]
    flat = rows(train("flat"))[0]
    whole = flat["classification_bits"] + 0.01 * flat["code_bits"]
    assert flat["loss"] == pytest.approx(whole, rel=1e-4)


def test_bits_fall_with_their_weight(train):
    weights = ({"code_bits": beta} for beta in (0.0, 0.03, 0.3))
    long = {"epochs": 6, "checkpoint_minutes": 60.0}
    bits = [
        rows(train(f"b{i}", **long, weights=ALONE | each))[-1]["code_bits"]
        for i, each in enumerate(weights)
    ]
    assert bits[0] > bits[1] > bits[2]


def test_a_run_interrupted_goes_on_to_the_same_bytes(train, monkeypatch):
    whole = contents(train("whole"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, before=4)
        train("cut")
    assert not list(Path().glob("cut/*"))
    assert contents(train("cut")) == whole


def test_what_is_drawn_is_of_the_seed_and_of_no_number_of_workers(train):
    one, same, other = train("one"), train("same", workers=2), train("other", seed=1)
    assert (one / "network.safetensors").read_bytes() == (same / "network.safetensors").read_bytes()
    assert rows(one) != rows(other)


@pytest.mark.parametrize(
    ("changed", "columns"),
    [
        ({"mask": None, "noisy": False, "weights": ALONE}, []),
        ({"mask": None}, []),
        ({"noisy": False, "weights": ALONE}, ["mask_spread", "mask_likeness"]),
        ({"mask": "centre", "mask_options": {"share": 0.3}}, []),
        (
            {"weights": ALONE | {"mask_bits": 0.1, "code_bits_repository": 0.1}, "samples": 2},
            ["mask_spread", "mask_likeness"],
        ),
        (
            {"anchors": 5, "weights": ALONE | {"codebook": 0.4, "commitment": 0.1}},
            ["mask_spread", "mask_likeness", "idle_anchors"],
        ),
        ({"weights": ALONE | {"unit_distance": 1.0}}, ["mask_spread", "mask_likeness"]),
        (
            {"applied": False, "weights": ALONE | {"unit_distance": 1.0}},
            ["mask_spread", "mask_likeness"],
        ),
        (
            {"backbone": "vgg", "masked_stage": 3, "image_size": 32},
            ["mask_spread", "mask_likeness"],
        ),
        (
            {
                "backbone": "wrn16_4",
                "decoder_layers": 1,
                "width": 8,
                "mask": "wide_branch",
                "mask_options": {"units": 2, "classes": 4},
            },
            ["mask_spread", "mask_likeness"],
        ),
        ({"precision": "bf16"}, ["mask_spread", "mask_likeness"]),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else None,
)
def test_every_kind_of_row_trains(train, changed, columns):
    row = rows(train("out", epochs=1, warmup_epochs=0.0, **changed))[0]
    weights = changed.get("weights", ROW["weights"])
    assert {*row} == {"epoch", "step", "lr", "loss", *weights, *columns} and row["loss"] > 0


@pytest.mark.parametrize("applied", [True, False])
def test_a_mask_held_to_maps_learns_them(train, applied):
    weights = ALONE | {"unit_distance": 5.0}
    long = {"epochs": 20, "checkpoint_minutes": 60.0}
    curve = rows(train("out", **long, masked_stage=1, applied=applied, weights=weights))
    assert curve[-1]["unit_distance"] < 0.8 * curve[0]["unit_distance"]


def test_a_collapse_and_idle_anchors_are_said_and_counted(train, capsys):
    # Of so much weight nothing is left to pass, and the mask need not look at any image.
    weights = ALONE | {"mask_bits": 100.0, "codebook": 0.4, "commitment": 0.1}
    out = train("out", epochs=8, checkpoint_minutes=60.0, anchors=50, weights=weights)
    said = capsys.readouterr().err
    assert "warning: epoch 8: the mask has collapsed" in said
    assert "of 50 anchors are nearest to no cell of a batch; fewer would do" in said
    report = report_of(out)
    assert report["collapsed"] == 1 and report["idle_anchors"] > 10
    assert report_of(train("other"))["collapsed"] == 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"weights": {"code_bits": -1.0}}, r"run run\.weights\.code_bits: .*greater than or equal"),
        ({"anchors": 1}, r"run run\.anchors: .*greater than or equal to 2"),
        ({"anchors": 10_000}, r"run run\.anchors: .*less than or equal to 1000"),
        ({"anchors": 5}, "a run with anchors weighs codebook and commitment"),
        ({"anchors": 5, "mask": None}, "a run without a mask has nothing to bring to anchors"),
        ({"applied": False}, "a mask that is not applied learns from people's maps alone; weigh"),
        ({"weights": ALONE | {"codebook": 1.0}}, "a run without anchors has nothing for codebook"),
        ({"noisy": False}, "a run without noisy: true has nothing for code_bits"),
        ({"mask": None, "weights": {"mask_bits": 1.0}}, "a run without a mask has nothing for mas"),
        (
            {"mask": "centre", "mask_options": {"share": 0.3}, "weights": {"unit_distance": 1.0}},
            "the mask centre learns nothing, so unit_distance would teach it nothing; remove",
        ),
        (
            {"mask": "centre", "mask_options": {"share": 0.3}, "weights": {"mask_bits": 1.0}},
            "the mask centre is not drawn, so mask_bits has nothing to price",
        ),
        ({"weights": {"kld": 1.0}}, r"no terms of a bottleneck: \['kld'\]"),
        ({"weights": {"bits": 1.0}}, "no such terms: .'bits'"),
        ({"ramp_epochs": 3.0}, r"ramp_epochs is 3\.0 of 2 epochs in all"),
        ({"masked_stage": 4}, "behind stage 4; expected 1 to 3"),
        ({"compile": True}, r"set train_bottleneck\.compile to false"),
        ({"backbone": "vgg13"}, r"run run\.backbone"),
        ({"learning_rate": 1e30}, r"step \d: the loss is not finite"),
    ],
)
def test_what_does_not_fit_is_refused(train, changed, message):
    with pytest.raises(ValueError, match=message):
        train("out", **changed)
    assert not list(Path().glob("out/*"))


def test_terms_of_a_bottleneck_are_not_for_other_methods():
    from attnlabels.training import classifiers, students

    shared = {"labels": "x", "attention_select": "local_mean_max", "map_size": 6}
    shared |= {"attention_output": "softplus", "joint_batch_norm": True, "stop_gradient": False}
    weights = {"classification": 1.0, "code_bits": 1.0}
    row = classifiers.Row(**shared, backbone="resnet10", weights=weights)
    with pytest.raises(ValueError, match="no such terms: .'code_bits'"):
        classifiers.require_one_meaning(row)
    assert students.BOTTLENECK_TERMS == classifiers.BOTTLENECK_TERMS


def test_the_weights_are_those_of_a_network_whose_every_part_learnt(train):
    network = load_file(train("out", epochs=1, warmup_epochs=0.0) / "network.safetensors")
    assert all(torch.isfinite(each).all() for each in network.values())
