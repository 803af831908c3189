import hashlib
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

import corrupt_images
from attnlabels.images.decoding import read_image
from attnlabels.images.folder import list_images, write_manifest
from attnlabels.images.squares import resize_centre_crop
from attnlabels.pipeline.places import MARK
from attnlabels.testsets import generated
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA, corrupt, rng_for
from attnlabels.testsets.imagenet_c import open_corrupted

ALL = (*CORRUPTIONS, *EXTRA)
PARAMS = """
corrupt_images:
  imagenet_c: {images: val, which: val.csv, watch: val.csv, seed: 5, layout: folder, table: tiny,
               size: 24, crop: 0.875, workers: 0}
  cifar10_c: {images: cifar, which: test, watch: cifar, seed: 5, layout: cifar10, table: cifar,
              size: 32, crop: 1.0, workers: 0}
"""


def write_world(folder):
    """A folder of images of several sizes in two classes, three CIFAR-10 images and parameters."""
    rng = np.random.default_rng(0)
    for name, h, w in (("dog/a.png", 40, 30), ("cat/b.png", 24, 24), ("dog/c.png", 25, 60)):
        path = folder / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (h, w, 3), np.uint8))
    write_manifest(folder / "val.csv", list_images(folder / "val", classes=2))
    (folder / "cifar").mkdir()
    batch = {"data": rng.integers(0, 256, (3, 3072), np.uint8), "labels": [9, 0, 4]}
    (folder / "cifar" / "test_batch").write_bytes(pickle.dumps(batch))
    (folder / "params.yaml").write_text(PARAMS)
    return folder


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Such a world with what is made of it in `imagenet_c` and `cifar10_c`; nobody changes it."""
    folder = write_world(tmp_path_factory.mktemp("made"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        generate_folder()
        generate_cifar10()
    return folder


def generate_folder(out="imagenet_c"):
    corrupt_images.main("imagenet_c", Path("val"), "val.csv", Path(out))
    return Path(out)


def generate_cifar10(out="cifar10_c"):
    corrupt_images.main("cifar10_c", Path("cifar"), "test", Path(out))
    return Path(out)


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_a_folder_becomes_arrays_as_cifar10_c_has_them(made):
    out = made / "imagenet_c"
    files = {*(f"{name}.npy" for name in ALL), "labels.npy", "generated.json", MARK}
    assert {path.name for path in out.iterdir()} == files
    assert all(np.load(out / f"{name}.npy").shape == (15, 24, 24, 3) for name in ALL)
    labels = np.load(out / "labels.npy")
    assert labels.dtype == np.uint8 and labels.tolist() == [0, 1, 1] * 5
    opened = open_corrupted(out, layout="arrays")
    assert opened.generated and opened.corruptions == ALL


def test_an_image_is_cropped_then_corrupted_by_its_name(made):
    out = made / "imagenet_c"
    clean = resize_centre_crop(read_image(made / "val" / "dog" / "c.png"), size=24, crop=0.875)
    for name in ALL:
        rng = rng_for(5, "dog/c.png", corruption=name, severity=4)
        expected = corrupt(clean, corruption=name, severity=4, table="tiny", rng=rng)
        assert (np.load(out / f"{name}.npy")[3 * 3 + 2] == expected).all()


def test_cifar10_keeps_its_pixels_and_its_order(made):
    out = made / "cifar10_c"
    batch = pickle.loads((made / "cifar" / "test_batch").read_bytes())
    clean = batch["data"].reshape(3, 3, 32, 32).transpose(0, 2, 3, 1)
    opened = open_corrupted(out, layout="arrays")
    assert opened.labels.tolist() == [9, 0, 4]
    image = np.ascontiguousarray(clean[1])
    rng = rng_for(5, "test/1", corruption="fog", severity=2)
    expected = corrupt(image, corruption="fog", severity=2, table="cifar", rng=rng)
    assert (opened.images("fog", 2)[1] == expected).all()


def test_cifar10_c_has_the_published_layout(made):
    out = made / "cifar10_c"
    arrays = {path.stem: np.load(path) for path in out.glob("*.npy")}
    labels = arrays.pop("labels")
    assert labels.dtype == np.uint8 and labels.tolist() == [9, 0, 4] * 5
    assert {*arrays} == {*ALL} and len(ALL) == 19
    for array in arrays.values():
        assert array.dtype == np.uint8 and array.shape == (15, 32, 32, 3)
        assert array.flags.c_contiguous
    opened = open_corrupted(out, layout="arrays")
    for severity in (1, 5):  # three rows of each, the first severity first
        rows = arrays["snow"][3 * severity - 3 : 3 * severity]
        assert (opened.images("snow", severity) == rows).all()


def test_the_origin_is_kept(made):
    origin = json.loads((made / "cifar10_c" / "generated.json").read_text())
    assert origin == {
        "generated": 1,
        "seed": 5,
        "table": "cifar",
        "size": 32,
        "crop": 1.0,
        "n": 3,
        "severities": [1, 2, 3, 4, 5],
        "corruptions": [*ALL],
    }


def test_any_number_of_workers_and_any_size_of_block_give_the_same_bytes(made, world, monkeypatch):
    alone = digests(made / "imagenet_c")
    assert digests(generate_folder("again")) == alone
    monkeypatch.setattr(generated, "BLOCK", 2)
    assert digests(generate_folder("blocks")) == alone
    Path("params.yaml").write_text(PARAMS.replace("workers: 0", "workers: 2"))
    assert digests(generate_folder("workers")) == alone


def test_another_seed_draws_anew(made, world):
    first = made / "cifar10_c"
    Path("params.yaml").write_text(PARAMS.replace("seed: 5", "seed: 6"))
    second = generate_cifar10("second")
    assert (np.load(first / "fog.npy") != np.load(second / "fog.npy")).any()
    assert (np.load(first / "contrast.npy") == np.load(second / "contrast.npy")).all()


def test_more_than_256_classes_take_wider_labels(world, monkeypatch):
    monkeypatch.setattr(generated, "CORRUPTIONS", ("contrast",))
    monkeypatch.setattr(generated, "EXTRA", ())
    for k in range(257):
        folder = world / "many" / f"{k:03}"
        folder.mkdir(parents=True)
        (folder / "a.png").write_bytes((world / "val" / "cat" / "b.png").read_bytes())
    write_manifest(Path("many.csv"), list_images(world / "many", classes=257))
    corrupt_images.main("imagenet_c", Path("many"), "many.csv", Path("out"))
    labels = np.load("out/labels.npy")
    assert labels.dtype == np.int32 and labels.tolist() == [*range(257)] * 5


def test_a_broken_image_is_named_and_nothing_is_left(world):
    path = world / "val" / "dog" / "a.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"dog/a\.png"):
        generate_folder()
    assert not [p for p in world.iterdir() if "imagenet_c" in p.name]


def test_cifar10_is_neither_resized_nor_cropped_nor_taken_from_its_training_split(world):
    Path("params.yaml").write_text(PARAMS.replace("size: 32, crop: 1.0", "size: 48, crop: 1.0"))
    with pytest.raises(ValueError, match=r"set size to 32 \(is 48\)"):
        generate_cifar10()
    Path("params.yaml").write_text(PARAMS)
    with pytest.raises(ValueError, match="not of 'train'"):
        corrupt_images.main("cifar10_c", Path("cifar"), "train", Path("out"))


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("size: 24", "size: 15", "size"),
        ("crop: 0.875", "crop: 0.0", "crop"),
        ("table: tiny", "table: small", "table"),
        ("workers: 0", "workers: -1", "workers"),
    ],
)
def test_parameters_out_of_range_are_named(world, old, new, key):
    Path("params.yaml").write_text(PARAMS.replace(old, new))
    with pytest.raises(ValueError, match=rf"corrupt_images\.imagenet_c\.{key}"):
        generate_folder()
