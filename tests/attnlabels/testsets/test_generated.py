"""The arrays of a generated benchmark; tests/test_corrupt_images.py looks at the stage."""

import cv2
import numpy as np
import pytest

from attnlabels.images.decoding import read_image
from attnlabels.images.squares import resize_centre_crop
from attnlabels.testsets import generated
from attnlabels.testsets.corruptions import corrupt, rng_for
from attnlabels.testsets.generated import provenance, write_clean, write_corrupted, write_labels


@pytest.fixture
def few(monkeypatch):
    """Two corruptions, and blocks of two images."""
    monkeypatch.setattr(generated, "CORRUPTIONS", ("fog",))
    monkeypatch.setattr(generated, "EXTRA", ("spatter",))
    monkeypatch.setattr(generated, "BLOCK", 2)


def test_clean_images_are_as_an_evaluation_sees_them(tmp_path, few):
    names = ["a.png", "b.png", "c.png"]
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 256, (30 + seed, 40, 3), np.uint8)
        cv2.imwrite(str(tmp_path / name), pixels)
    write_clean(tmp_path / "clean.npy", tmp_path, names, size=24, crop=0.875, workers=0)
    clean = np.load(tmp_path / "clean.npy")
    assert clean.dtype == np.uint8 and clean.shape == (3, 24, 24, 3)
    for row, name in enumerate(names):
        expected = resize_centre_crop(read_image(tmp_path / name), size=24, crop=0.875)
        np.testing.assert_array_equal(clean[row], expected)


def test_each_array_holds_the_severities_one_after_the_other(tmp_path, few):
    clean = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    np.save(tmp_path / "clean.npy", clean)
    names = ["x", "y", "z"]
    write_corrupted(tmp_path, tmp_path / "clean.npy", names, table="cifar", seed=5, workers=0)
    assert {path.stem for path in tmp_path.iterdir()} == {"clean", "fog", "spatter"}
    for corruption in ("fog", "spatter"):
        array = np.load(tmp_path / f"{corruption}.npy")
        assert array.shape == (15, 32, 32, 3)
        for severity, row in ((1, 0), (4, 2)):
            rng = rng_for(5, names[row], corruption=corruption, severity=severity)
            about = {"corruption": corruption, "severity": severity}
            expected = corrupt(clean[row], **about, table="cifar", rng=rng)
            np.testing.assert_array_equal(array[3 * (severity - 1) + row], expected)


@pytest.mark.parametrize(("largest", "kind"), [(255, np.uint8), (256, np.int32)])
def test_labels_are_there_once_a_severity(tmp_path, largest, kind):
    write_labels(tmp_path, np.array([0, largest]))
    labels = np.load(tmp_path / "labels.npy")
    assert labels.dtype == kind and labels.tolist() == [0, largest] * 5


def test_it_is_told_how_the_images_were_generated(few):
    assert provenance(3, seed=5, table="tiny", size=24, crop=0.875) == {
        "generated": 1,
        "seed": 5,
        "table": "tiny",
        "size": 24,
        "crop": 0.875,
        "n": 3,
        "severities": [1, 2, 3, 4, 5],
        "corruptions": ["fog", "spatter"],
    }
