import logging
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.evaluation.datasets import open_sets, whole_sets
from attnlabels.testsets.corruptions import CORRUPTIONS
from attnlabels.testsets.imagenet_c import SEVERITIES

NAMES = ("n1/a", "n1/b", "n2/c", "n2/d")


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    """Four photographs to train and as many to test on, and these in ImageNet-C's layout."""
    rng = np.random.default_rng(0)
    photograph = cv2.imencode(".jpg", rng.integers(0, 256, (12, 16, 3), np.uint8))[1].tobytes()
    places = [f"imagenet/{split}" for split in ("train", "val")]
    places += [f"c/{name}/{severity}" for name, severity in product(CORRUPTIONS, SEVERITIES)]
    for place, name in product(places, NAMES):
        path = tmp_path / place / f"{name}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph)
    return {"imagenet": tmp_path / "imagenet", "imagenet_c": tmp_path / "c"}


def opened(folders, *, on=("robustness",)):
    return open_sets(folders["imagenet"], folders["imagenet_c"], None, None, None, on=on, seed=0)


def spoil(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def test_all_that_is_broken_is_told_at_once(folders, tmp_path):
    spoil(folders["imagenet"] / "train/n1/a.JPEG")
    spoil(folders["imagenet"] / "val/n2/c.JPEG")
    spoil(folders["imagenet_c"] / "fog/3/n1/b.JPEG")
    with pytest.raises(ValueError) as stopped:
        whole_sets(opened(folders), broken="stop", cache=tmp_path, workers=0)
    said = str(stopped.value)
    for name, image in {"train": "n1/a", "val": "n2/c", "c": "n1/b"}.items():
        assert f"imagenet_{name}: 1 of 4 images are broken: {image}.JPEG (" in said
    assert said.endswith("); mend or remove them, or pass --broken skip")
    assert said.count("; ") == 3  # three sets and one cure


def test_what_is_broken_is_left_out_with_its_corrupted_versions(folders, tmp_path, caplog):
    spoil(folders["imagenet"] / "train/n1/a.JPEG")
    spoil(folders["imagenet"] / "val/n2/c.JPEG")
    spoil(folders["imagenet_c"] / "fog/3/n1/b.JPEG")
    with caplog.at_level(logging.INFO, logger="attnlabels"):
        sets, counts = whole_sets(opened(folders), broken="skip", cache=tmp_path, workers=0)
    assert counts == {"imagenet_train": 1, "imagenet_val": 2, "imagenet_c": 2}
    train, test, corrupted = sets["imagenet"].images
    assert [*train.names] == ["n1/b.JPEG", "n2/c.JPEG", "n2/d.JPEG"]
    assert [*test.names] == [*corrupted.names] == ["n1/a.JPEG", "n2/d.JPEG"]
    assert test.labels.tolist() == corrupted.labels.tolist() == [0, 1]
    files = corrupted.images("fog-3", slice(None))
    assert [f"{file.parent.name}/{file.name}" for file in files] == [*test.names]
    assert len(caplog.messages) == 3
    assert all(each.endswith("; they are left out") for each in caplog.messages)


def test_where_nothing_is_broken_the_sets_stay(folders, tmp_path):
    sets = opened(folders)
    whole, counts = whole_sets(sets, broken="skip", cache=tmp_path, workers=0)
    assert counts == dict.fromkeys(("imagenet_train", "imagenet_val", "imagenet_c"), 0)
    assert all(
        one is other for one, other in zip(whole["imagenet"].images, sets["imagenet"].images)
    )


def test_a_class_of_which_nothing_is_left_is_refused(folders, tmp_path):
    for name in ("n1/a", "n1/b"):
        spoil(folders["imagenet"] / f"train/{name}.JPEG")
    with pytest.raises(ValueError, match=r"train: no image is left of 1 classes, .*n1/b.JPEG\); f"):
        whole_sets(opened(folders), broken="skip", cache=tmp_path, workers=0)
    sets = opened(folders, on=("retrieval-c",))  # which trains on nothing
    _, counts = whole_sets(sets, broken="skip", cache=tmp_path, workers=0)
    assert counts["imagenet_val"] == 0 and "imagenet_train" not in counts
