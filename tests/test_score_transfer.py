import json
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

import score_transfer
from attnlabels.bottleneck.frozen import open_network
from bottlenecks import write_network
from painted import write_painted

SECTION = {
    "set": "digits",
    "layout": "svhn",
    "batch_size": 7,
    "l2_times_n": [10.0, 1.0],
    "development": 0.25,
    "tolerance": 1e-3,
    "maximum_iterations": 1000,
    "seed": 0,
}


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Scores an untrained network on digits of two colours."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    Path("digits").mkdir()
    for split, n in (("train", 40), ("test", 12)):
        labels = np.arange(n) % 2 + 1
        images = rng.integers(0, 60, (n, 32, 32, 3), np.uint8)
        images[labels == 1, ..., 0] += 150
        images[labels == 2, ..., 2] += 150
        path = f"digits/{split}_32x32.mat"
        savemat(path, {"X": images.transpose(1, 2, 3, 0), "y": labels[:, None]})
    painted = write_painted(tmp_path / "painted")

    def call(**changed):
        tree = {"threads": 1, "score_transfer": SECTION | changed}
        Path("params.yaml").write_text(json.dumps(tree))
        weights = write_network(tmp_path / "network.safetensors")
        score_transfer.main(weights, Path("digits"), painted / "people", Path("report.json"))
        return json.loads(Path("report.json").read_text())

    return call


def test_a_linear_classifier_of_the_features_and_of_the_code_is_scored(score):
    report = score()
    for of in ("features", "code"):
        assert report[of]["top1"] == 1.0  # colours differ
        assert report[of]["n"] == 12


def test_features_are_of_the_whole_image_at_the_networks_size(tmp_path):
    frozen = open_network(write_network(tmp_path / "n.safetensors"), n_classes=3)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(score_transfer.resized(images, frozen.size), images)
    assert score_transfer.resized(images, 20).shape == (2, 20, 20, 3)


def test_a_set_of_another_layout_is_named(score):
    with pytest.raises(FileNotFoundError, match=r"digits/train_X\.bin: not here"):
        score(layout="stl10")
    assert not Path("report.json").exists()
