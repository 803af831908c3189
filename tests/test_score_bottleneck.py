import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import score_bottleneck
from attnlabels.bottleneck.scoring import draw_some
from bottlenecks import SIZE, TRANSFER, write_digits, write_network
from painted import write_painted

SECTION: dict[str, Any] = {
    "curve_images": 6,
    "shares": [0.0, 0.5, 1.0],
    "cells": 8,
    "patch": 0.2,
    "radii": [4.0],
    "batch_size": 5,
    "examples": 3,
    "seed": 0,
    "transfer": TRANSFER,
}
FILES = ("scores.csv", "examples.npz", "report.json")
Score = Callable[..., tuple[dict[str, Any], pd.DataFrame, dict[str, np.ndarray]]]


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    return write_painted(tmp_path_factory.mktemp("painted"))


@pytest.fixture
def score(tmp_path, monkeypatch, painted) -> Score:
    """Scores an untrained network into the folder `out`."""
    monkeypatch.chdir(tmp_path)
    digits = write_digits(tmp_path / "digits")

    def call(n_classes: int = 3, **encoder: Any):
        tree = {"threads": 1, "score_bottleneck": SECTION}
        Path("params.yaml").write_text(json.dumps(tree))
        weights = write_network(tmp_path / "network.safetensors", n_classes=n_classes, **encoder)
        outs = [Path("out") / name for name in FILES]
        score_bottleneck.main(weights, painted / "people", painted / "object", digits, *outs)
        report = json.loads(outs[2].read_text())
        assert report.pop("made_by")["threads"] == 1
        with np.load(outs[1]) as arrays:
            return report, pd.read_csv(outs[0]), {**arrays}

    return call


def test_an_image_has_a_row_and_the_report_is_their_mean(score):
    report, scores, arrays = score()
    assert report["images"] == len(scores) == 12 and report["curve_images"] == 6
    for key in ("top1", "code_bits", "mask_bits", "chance"):
        assert report[key]["mean"] == pytest.approx(scores[key].mean())
    for map, measure in (("mask", "iou"), ("gradient", "rho"), ("colour", "alike")):
        assert report[map][measure]["mean"] == pytest.approx(scores[f"{map}.{measure}"].mean())
    assert np.flatnonzero(scores["deletion.mask"].notna()).tolist() == [*draw_some(12, 6, seed=0)]
    assert report["deletion"]["mask"]["n"] == 6
    assert report["transfer"]["code"]["n"] == 12  # of another set
    assert arrays["deletion.random"].shape == arrays["shares"].shape == (3,)
    assert arrays["images"].shape == (3, SIZE, SIZE, 3) and arrays["mask"].shape == (3, 8, 8)


def test_columns_are_the_same_whatever_turns(score):
    _, scores, _ = score()
    assert scores["colour.alike_turns"].isna().all()  # of so little change none does
    assert {f"{name}.alike_stays" for name in ("colour", "texture", "low_4", "high_4")} <= {*scores}


def test_anchors_that_never_win_are_said_and_counted(score, capsys):
    report, _, _ = score(anchors=9)
    assert report["anchors"] == 9 and 0 < report["idle"] < 9
    said = capsys.readouterr().err
    assert f"warning: {report['idle']} of 9 anchors are nearest to no cell of any image" in said


def test_a_second_run_leaves_the_same_bytes(score):
    score()
    first = {name: (Path("out") / name).read_bytes() for name in FILES}
    score()
    assert {name: (Path("out") / name).read_bytes() for name in FILES} == first


def test_a_set_that_is_not_there_is_named_and_nothing_is_left(score, tmp_path):
    (tmp_path / "digits/test_32x32.mat").unlink()
    with pytest.raises(FileNotFoundError, match=r"digits/test_32x32\.mat"):
        score()
    assert not Path("out").exists()


def test_a_network_of_other_classes_is_refused_and_nothing_is_left(score):
    with pytest.raises(ValueError, match="has another shape"):
        score(n_classes=5)
    assert not Path("out").exists()
