"""The teacher in the package is the one that `stages/release` trained, and it is of use."""

import configparser
import hashlib
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from attnlabels import label, load_teacher
from attnlabels.cli import app
from attnlabels.shards.shards import sha256_of
from attnlabels.teachers.released import CARD, WEIGHTS, read_card
from attnlabels.teachers.trained import read_trained

ROOT = Path(__file__).parents[3]
LARGEST = 2_000_000  # bytes


def test_the_package_holds_what_the_study_left():
    lock = YAML(typ="safe").load(ROOT / "stages/release/dvc.lock")
    outs = lock["stages"]["release_teacher"]["outs"]
    (left,) = (each["md5"] for each in outs if each["path"].endswith("teacher.safetensors"))
    assert hashlib.md5(WEIGHTS.read_bytes()).hexdigest() == left
    assert CARD.read_bytes() == (ROOT / "metrics/release/card.md").read_bytes()
    scores = json.loads((ROOT / "metrics/release/scores.json").read_text())
    assert sha256_of(WEIGHTS) == scores["sha256"] and scores["sha256"] in read_card()


def test_it_is_light_and_travels_in_the_wheel():
    assert WEIGHTS.stat().st_size <= LARGEST
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = setup["options.package_data"]["attnlabels.teachers"].split(", ")
    assert {*named} == {WEIGHTS.name, CARD.name}


def test_it_is_the_papers_network_and_says_what_labels_need():
    trained = read_trained(WEIGHTS)
    n = sum(each.numel() for each in trained.teacher.parameters())
    assert n == 406_053 and trained.teacher.backbone.taps == (3, 5, 7, 9)
    h, w = trained.image_size  # of photographs of 300 x 400, on which σ is 24 / 800 of the width
    assert trained.sigma_px == pytest.approx((12 * h / 300, 12 * w / 400))
    assert 0.5 < trained.fitted_sigma_px[0] / trained.sigma_px[0] < 8


def test_it_looks_at_the_one_thing_there_is():
    # A bright disc on grey, wherever it is: the map is highest near it.
    teacher = load_teacher(device="cpu")
    rows, cols = np.mgrid[:300, :400]
    for row, col in ((150, 200), (100, 120), (200, 290)):
        photo = np.full((300, 400, 3), 110, np.uint8)
        photo[(rows - row) ** 2 + (cols - col) ** 2 < 25**2] = (230, 60, 40)
        map = teacher(photo)
        top = np.unravel_index(map.argmax(), map.shape)
        assert np.hypot(top[0] - row, top[1] - col) < 60


def test_it_labels_where_no_teacher_is_named(tmp_path):
    (tmp_path / "photos").mkdir()
    photo = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "photos/a.png"), photo)
    shards = label(tmp_path / "photos", out=tmp_path / "labels")
    by = shards.index["maps_by"]
    assert by["sha256"] == sha256_of(WEIGHTS) and by["shown"] == [*read_trained(WEIGHTS).image_size]


def test_its_card_is_printed():
    result = CliRunner().invoke(app, ["teacher", "show"])
    assert result.exit_code == 0 and result.output == read_card()
    assert "centre prior" in read_card() and "MIT" in read_card()
