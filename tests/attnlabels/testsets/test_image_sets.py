import cv2
import numpy as np
import pytest
from timm.data import ImageNetInfo
from torch.utils.data import DataLoader

import corrupt_images
from attnlabels.images.folder import list_images, write_manifest
from attnlabels.testsets import corruptions
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA
from attnlabels.testsets.image_sets import (
    Squares,
    corrupted_images,
    generated_images,
    listed_images,
)
from attnlabels.testsets.imagenet_c import open_corrupted


@pytest.fixture
def listed(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        path = tmp_path / "images" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", rng.integers(0, 256, (30, 40, 3), np.uint8))[1])
    return tmp_path / "images", list_images(tmp_path / "images", classes=2)


def generated(listed, *, seed=3):
    folder, manifest = listed
    clean = listed_images("val", folder, manifest)
    return generated_images("c", clean, table="cifar", size=24, crop=0.875, seed=seed)


def test_generated_images_are_what_the_stage_writes(params, listed, tmp_path):
    folder, manifest = listed
    row = {"seed": 3, "table": "cifar", "size": 24, "crop": 0.875, "workers": 0}
    params({f"corrupt_images.imagenet_c.{key}": value for key, value in row.items()})
    write_manifest(tmp_path / "val.csv", manifest)
    corrupt_images.main("imagenet_c", folder, str(tmp_path / "val.csv"), tmp_path / "c")
    clean = listed_images("val", folder, manifest)
    written = corrupted_images("c", open_corrupted(tmp_path / "c", layout="arrays"), clean)
    made = generated(listed)
    assert made.about["generated"] == written.about["generated"] == 1
    assert {*made.parts} == {*written.parts} and len(made.parts) == 95
    assert made.labels.tolist() == written.labels.tolist()
    for part in made.parts:
        np.testing.assert_array_equal(
            made.images(part, slice(None)), written.images(part, slice(None))
        )


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_neither_batches_nor_workers_change_a_generated_bit(listed):
    made = generated(listed)._replace(parts=["snow-3", "glass_blur-5"])
    at_once = np.concatenate([made.images(part, slice(None)) for part in made.parts])
    for batch_size, workers in ((2, 0), (3, 2)):
        squares = Squares(made, size=24, crop=1.0, batch_size=batch_size)
        batches = DataLoader(squares, batch_size=None, num_workers=workers)
        found = np.concatenate([pixels.numpy() for _, pixels in batches])
        np.testing.assert_array_equal(found, at_once)


def test_the_seed_moves_what_is_random_alone(listed):
    one, other = generated(listed, seed=3), generated(listed, seed=4)
    whole = slice(None)
    assert (one.images("fog-1", whole) != other.images("fog-1", whole)).any()
    assert (one.images("contrast-1", whole) == other.images("contrast-1", whole)).all()
    assert one.about != other.about


def test_other_code_of_the_corruptions_makes_another_set(listed, monkeypatch, tmp_path):
    before = generated(listed).about
    (tmp_path / "other.py").write_text("# other code")
    monkeypatch.setattr(corruptions, "__file__", str(tmp_path / "other.py"))
    after = generated(listed).about
    assert before["code"] != after["code"] and before.keys() == after.keys()


def test_parts_are_corruptions_by_severity(listed):
    parts = generated(listed).parts
    assert parts[:5] == [f"{CORRUPTIONS[0]}-{severity}" for severity in range(1, 6)]
    assert parts[-1] == f"{EXTRA[-1]}-5"


def test_corrupted_photographs_of_ones_own_classes_are_found_by_their_names(listed, tmp_path):
    # Corrupted images are JPEGs, as ImageNet-C's are, whatever they were made of.
    folder, manifest = listed
    clean = listed_images("val", folder, manifest)
    for corruption in CORRUPTIONS:
        for severity in range(1, 6):
            for path in manifest.paths:
                copy = tmp_path / "c" / corruption / str(severity) / path.replace(".png", ".JPEG")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.touch()
    opened = open_corrupted(tmp_path / "c", layout="imagenet_c")
    found = corrupted_images("c", opened, clean)
    assert found.labels.tolist() == clean.labels.tolist()
    assert found.corruptions() == [*CORRUPTIONS]
    names = [path.relative_to(tmp_path / "c/fog/2") for path in found.images("fog-2", slice(1, 3))]
    assert [str(each) for each in names] == ["class0/2.JPEG", "class0/4.JPEG"]
    other = clean._replace(names=["class0/0.png", "class0/2.png", "class9/4.png"])
    with pytest.raises(
        ValueError, match=r"c: of its images 1 of val are missing \(class9/4\) and 3 are not of val"
    ):
        corrupted_images("c", opened, other)


def test_squares_are_of_the_size_and_know_their_number(listed):
    folder, manifest = listed
    squares = Squares(
        listed_images("val", folder, manifest),
        size=16,
        crop=0.5,
        batch_size=2,
        interpolation="bilinear",
    )
    assert len(squares) == 3
    assert [squares[i][0] for i in range(3)] == [0, 1, 2]
    assert [squares[i][1].shape for i in range(3)] == [(2, 16, 16, 3)] * 2 + [(1, 16, 16, 3)]
    assert squares.spans[-1] == ("features", slice(4, 5))
    bicubic = Squares(listed_images("val", folder, manifest), size=16, crop=0.5, batch_size=2)
    assert (bicubic[0][1] != squares[0][1]).any()


def test_imagenets_classes_are_known_by_their_names_and_not_by_their_number(listed):
    names = sorted(ImageNetInfo().label_names())
    clean = listed_images("val", *listed)._replace(labels=np.arange(1000), classes=names)
    assert len(names) == 1000 and clean.of_imagenet()
    others = [*names[:-1], "n99999999"]
    assert not clean._replace(classes=others).of_imagenet()
    assert not clean._replace(labels=np.arange(999)).of_imagenet()  # a class without an image
    assert not listed_images("val", *listed).of_imagenet()


@pytest.mark.parametrize("rows", [[], [0], [1, 2], [4], [0, 2, 4]])
def test_a_set_without_some_images_is_the_rest_in_every_part(listed, rows):
    clean, made = listed_images("val", *listed), generated(listed)
    keep = [row for row in range(5) if row not in rows]
    assert clean.without(rows).images("features", slice(None)) == [
        clean.images("features", slice(None))[row] for row in keep
    ]
    for part in ("snow-3", "fog-1"):
        whole, left = made.images(part, slice(None)), made.without(rows)
        np.testing.assert_array_equal(left.images(part, slice(None)), whole[keep])
        np.testing.assert_array_equal(left.images(part, slice(1, 3)), whole[keep[1:3]])
    assert left.labels.tolist() == made.labels[keep].tolist()
    assert [*left.names] == [clean.names[row] for row in keep]
    assert left.about["n"] == len(keep)
