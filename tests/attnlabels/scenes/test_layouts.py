"""The layouts that need no reader; tests/test_make_scenes.py looks at what the stage leaves."""

import json
import pickle

import cv2
import numpy as np
import pytest

from attnlabels.recordings.salicon import read_json
from attnlabels.scenes.layouts import (
    readme,
    write_cifar,
    write_imagenet,
    write_osie,
    write_salicon,
    write_watched_imagenet,
)
from attnlabels.scenes.scenes import SHAPES, Scene
from attnlabels.scenes.splits import Watched
from attnlabels.testsets.cifar10 import read_cifar10


def scene(label, *, height=32, width=32):
    image = np.full((height, width, 3), (10 * label, 100, 200), np.uint8)
    mask = np.zeros((height, width), np.float32)
    mask[:8, :8], mask[8:, 8:] = 1, 0.5
    return Scene(image=image, mask=mask, labels=(label,))


@pytest.fixture
def seen():
    """Two wide scenes: two observers of the first, one of the second."""
    trails = [[np.array([[1, 2], [3, 4]]), np.array([[5, 6]])], [np.array([[7, 8], [24, 32]])]]
    return [
        Watched(scene=scene(k, height=24), trails=each) for k, each in enumerate(trails, start=3)
    ]


def test_validation_images_are_numbered_through_and_lie_in_their_class(tmp_path):
    write_imagenet(tmp_path, [scene(0), scene(4), scene(0)])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.JPEG")) == [
        "n00000001/ILSVRC2012_val_00000001.JPEG",
        "n00000001/ILSVRC2012_val_00000003.JPEG",
        "n00000005/ILSVRC2012_val_00000002.JPEG",
    ]
    path = tmp_path / "n00000005/ILSVRC2012_val_00000002.JPEG"
    assert np.abs(cv2.imread(str(path))[..., ::-1].astype(int) - (40, 100, 200)).max() <= 2


def test_people_and_masks_of_training_images_lie_beside_them(tmp_path, seen):
    write_watched_imagenet(tmp_path, seen)
    stems = ["n00000004/n00000004_1", "n00000005/n00000005_2"]
    assert all((tmp_path / "imagenet/train" / f"{stem}.JPEG").is_file() for stem in stems)
    mask = cv2.imread(str(tmp_path / f"masks/train/{stems[0]}.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, np.rint(255 * seen[0].scene.mask))
    people = read_json(tmp_path / "people/fixations_train.json")
    assert [each.name for each in people] == [f"{stem}.JPEG" for stem in stems]
    assert people[0].points.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_an_annotation_of_salicon_is_one_observer_of_one_image(tmp_path, seen):
    write_salicon(tmp_path, "val", seen)
    tree = json.loads((tmp_path / "annotations/fixations_val2014.json").read_text())
    assert [each["file_name"] for each in tree["images"]] == [
        "COCO_val2014_000000000001.jpg",
        "COCO_val2014_000000000002.jpg",
    ]
    assert [(each["id"], each["image_id"], each["worker_id"]) for each in tree["annotations"]] == [
        (1, 1, 1),
        (2, 1, 2),
        (3, 2, 1),
    ]
    assert tree["annotations"][0]["fixations"] == [[1, 2], [3, 4]]


def test_a_fixation_of_osie_has_a_duration(tmp_path, seen):
    write_osie(tmp_path, seen, np.random.default_rng(0))
    tree = json.loads((tmp_path / "eye.json").read_text())
    assert [each["id"] for each in tree["images"]] == [1001, 1002]
    assert [len(each["durations"]) for each in tree["annotations"]] == [2, 1, 2]


def test_cifar_is_what_its_reader_reads(tmp_path):
    asked = []

    def draw(split, n):
        asked.append((split, n))
        return [scene((len(asked) + i) % 10) for i in range(n)]

    write_cifar(tmp_path / "cifar", draw, n_train=10, n_test=3)
    assert asked == [*((f"cifar train {k}", 2) for k in range(1, 6)), ("cifar test", 3)]
    pixels, labels = read_cifar10(tmp_path / "cifar", split="test")
    assert labels.tolist() == [6, 7, 8] and pixels[1, 0, 0].tolist() == [70, 100, 200]
    meta = pickle.loads((tmp_path / "cifar/batches.meta").read_bytes(), encoding="latin1")
    expected = {"num_cases_per_batch": 2, "label_names": list(SHAPES), "num_vis": 3072}
    assert meta == expected


def test_the_readme_names_its_row_and_the_two_modules_that_it_quotes():
    text = readme("mine")
    assert "from the row 'mine' of make_scenes" in text
    assert "(src/attnlabels/scenes/scenes.py)" in text
    assert "(src/attnlabels/scenes/observers.py)" in text
