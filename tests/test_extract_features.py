import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import extract_features
from attnlabels.evaluation.features import read_features, require_same_images
from attnlabels.images.decoding import read_image
from attnlabels.images.folder import read_manifest
from attnlabels.images.squares import resize_centre_crop
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.files import load_weights, read_config, write_weights
from attnlabels.pipeline.params import read
from attnlabels.pipeline.places import MARK
from attnlabels.testsets.imagenet_c import GROUPS

CORRUPTIONS = [name for group in GROUPS for name in GROUPS[group] if group != "extra"]
CLEAN = ("imagenet_train", "imagenet_val", "cifar10_train", "cifar10_test")
Extract = Callable[..., Path]


def write_arrays(folder: Path, labels: np.ndarray, *, side: int) -> Path:
    """Noise in place of corrupted images, another for each."""
    rng = np.random.default_rng(side)
    folder.mkdir()
    for name in CORRUPTIONS:
        noise = rng.integers(0, 256, (5 * len(labels), side, side, 3), np.uint8)
        np.save(folder / f"{name}.npy", noise)
    np.save(folder / "labels.npy", np.tile(labels, 5).astype(np.uint8))
    (folder / "generated.json").write_text('{"generated": true}')
    return folder


@pytest.fixture(scope="module")
def benchmarks(world, tmp_path_factory) -> tuple[Path, Path]:
    """Corrupted sets with the labels of the clean ones."""
    folder = tmp_path_factory.mktemp("benchmarks")
    listed = read_manifest(world / "data/images/val.csv")
    cifar10 = pickle.loads((world / "data/scenes/cifar-10-batches-py/test_batch").read_bytes())
    return (
        write_arrays(folder / "imagenet_c", listed.labels, side=24),
        write_arrays(folder / "cifar10_c", np.array(cifar10["labels"]), side=32),
    )


def words(out: Path, student: Path, world: Path, benchmarks: tuple[Path, Path]) -> list[Path]:
    data, (imagenet_c, cifar10_c) = world / "data", benchmarks
    return [
        student,
        data / "scenes/imagenet/train",
        data / "images/train.csv",
        data / "scenes/imagenet/val",
        data / "images/val.csv",
        imagenet_c,
        data / "scenes/cifar-10-batches-py",
        cifar10_c,
        out,
    ]


@pytest.fixture(scope="module")
def extracted(student, world, benchmarks, tiny_params, tmp_path_factory) -> Path:
    """What is extracted in batches of seven; not to be changed."""
    folder = tmp_path_factory.mktemp("extracted")
    tiny_params(folder, {"extract_features.batch_size": 7})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        extract_features.main(*words(Path("out"), student, world, benchmarks))
    return folder / "out"


@pytest.fixture
def extract(params, student, world, benchmarks) -> Extract:
    """Extracts into a folder, with changes to the section `extract_features`."""

    def call(out: str = "out", **changed) -> Path:
        params({f"extract_features.{key}": value for key, value in changed.items()})
        extract_features.main(*words(Path(out), student, world, benchmarks))
        return Path(out)

    return call


@pytest.fixture
def encode(student) -> Callable[[np.ndarray], np.ndarray]:
    """The features of one square image of the encoder's input size."""
    encoder = Encoder(**read_config(student)["encoder"])
    load_weights(student, encoder, prefix="encoder.")
    encoder.eval()

    def call(image: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
            return features(encoder(pixels))[0].numpy()

    return call


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_every_set_has_one_row_of_float16_an_image_and_its_labels(extracted):
    out = extracted
    assert {path.name for path in out.iterdir()} == {*CLEAN, "imagenet_c", "cifar10_c", MARK}
    for name, n in zip(CLEAN, (24, 15, 50, 20)):
        found, labels = np.load(out / name / "features.npy"), np.load(out / name / "labels.npy")
        assert found.dtype == np.float16 and found.shape == (n, 64)
        assert labels.dtype == np.int64 and labels.shape == (n,)
        assert len(np.unique(found, axis=0)) == n  # no image twice, none left out
    for name, clean in (("imagenet_c", "imagenet_val"), ("cifar10_c", "cifar10_test")):
        require_same_images(out / clean, out / name)
        names = {f"{corruption}-{k}.npy" for corruption in CORRUPTIONS for k in range(1, 6)}
        assert {path.name for path in (out / name).iterdir()} == {*names, "labels.npy", "set.json"}
        about = json.loads((out / name / "set.json").read_text())
        n = len(np.load(out / clean / "labels.npy"))
        assert about == {"generated": 1, "n": n, "corruptions": CORRUPTIONS}


def test_listed_images_are_encoded_in_the_lists_order(extracted, encode, world):
    listed = read_manifest(world / "data/images/train.csv")
    found, labels = read_features(extracted / "imagenet_train")
    assert labels.tolist() == listed.labels.tolist()
    for path, row in zip(listed.paths, found):
        image = read_image(world / "data/scenes/imagenet/train" / path)
        np.testing.assert_allclose(row, encode(image), rtol=2e-3, atol=2e-3)


def test_cifar10_is_encoded_whole_in_the_order_of_its_batches(extracted, encode, world):
    folder = world / "data/scenes/cifar-10-batches-py"
    names = [f"data_batch_{k}" for k in range(1, 6)]
    batches = [pickle.loads((folder / name).read_bytes()) for name in names]
    found, labels = read_features(extracted / "cifar10_train")
    assert labels.tolist() == [label for batch in batches for label in batch["labels"]]
    planes = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    for image, row in zip(planes.transpose(0, 2, 3, 1), found):
        square = resize_centre_crop(image, size=24, crop=1.0)
        np.testing.assert_allclose(row, encode(square), rtol=2e-3, atol=2e-3)


def test_corrupted_images_are_encoded_by_severity_in_the_order_of_the_clean_ones(
    extracted, encode, benchmarks
):
    fog = np.load(benchmarks[0] / "fog.npy")
    found, _ = read_features(extracted / "imagenet_c", "fog-4")
    for image, row in zip(fog[3 * 15 :], found, strict=False):
        np.testing.assert_allclose(row, encode(image), rtol=2e-3, atol=2e-3)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_nothing(extract, monkeypatch):
    open_all = extract_features.open_corrupted  # two processes for each of 150 sets take long
    monkeypatch.setattr(
        extract_features,
        "open_corrupted",
        lambda folder, layout: replace(open_all(folder, layout=layout), corruptions=("fog",)),
    )
    assert contents(extract("two", workers=2)) == contents(extract("none", workers=0))


def test_the_size_of_a_batch_changes_no_more_than_rounding(extracted, extract):
    by_seven, by_fifty = extracted, extract("fifty", batch_size=50)
    for name in CLEAN:
        first, second = (read_features(out / name)[0] for out in (by_seven, by_fifty))
        np.testing.assert_allclose(first, second, rtol=2e-3, atol=2e-3)


def write_folders(root: Path, world: Path) -> Path:
    """ImageNet-C's layout; an image's bytes are those of the next clean one."""
    listed = read_manifest(world / "data/images/val.csv")
    images = [world / "data/scenes/imagenet/val" / path for path in listed.paths]
    for name in CORRUPTIONS:
        for severity in range(1, 6):
            for path, image in zip(listed.paths, images[1:] + images[:1]):
                copy = root / name / str(severity) / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.symlink_to(image)
    return root


def test_published_folders_of_images_are_read_in_the_order_of_the_clean_ones(
    params, student, world, benchmarks, tmp_path
):
    params({"benchmarks.imagenet_c.layout": "imagenet_c"})
    folders = write_folders(tmp_path / "imagenet_c", world)
    extract_features.main(*words(Path("out"), student, world, (folders, benchmarks[1])))
    require_same_images(Path("out/imagenet_val"), Path("out/imagenet_c"))
    clean, _ = read_features(Path("out/imagenet_val"))
    found, _ = read_features(Path("out/imagenet_c"), "snow-5")
    np.testing.assert_allclose(found, np.roll(clean, -1, axis=0), rtol=2e-3, atol=2e-3)
    assert json.loads(Path("out/imagenet_c/set.json").read_text())["generated"] == 0


def test_corrupted_images_of_others_are_refused_before_anything_is_encoded(
    params, fail, student, world, benchmarks, tmp_path
):
    other = np.array([0, 1, 2] * 5)  # as many images, in another order
    given = (write_arrays(tmp_path / "c", other, side=24), benchmarks[1])
    message = fail(extract_features, *words(Path("out"), student, world, given))
    assert "15 corrupted images that are not the 15 of imagenet_val in their order" in message
    assert not Path("out").exists()


def test_training_and_validation_images_of_other_classes_are_refused(
    params, fail, student, world, benchmarks
):
    arguments = words(Path("out"), student, world, benchmarks)
    lines = arguments[4].read_text().splitlines()
    Path("two.csv").write_text("\n".join(each for each in lines if "n00000003" not in each) + "\n")
    arguments[4] = Path("two.csv")
    message = fail(extract_features, *arguments)
    assert "two.csv lists 2 classes" in message and "train.csv 3" in message
    assert not Path("out").exists()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named_and_nothing_is_left(
    params, fail, student, world, benchmarks, tmp_path, workers
):
    params({"extract_features.workers": workers})
    listed = read_manifest(world / "data/images/val.csv")
    for path in listed.paths:
        copy = tmp_path / "val" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((world / "data/scenes/imagenet/val" / path).read_bytes())
    copy.write_bytes(copy.read_bytes()[:-50])
    arguments = words(Path("out"), student, world, benchmarks)
    arguments[3] = tmp_path / "val"
    message = fail(extract_features, *arguments)
    assert f"{copy}: truncated" in message and "fetch it again" in message
    assert [path.name for path in Path().iterdir() if "out" in path.name] == []


def test_weights_that_do_not_fit_are_refused(params, fail, student, teacher, world, benchmarks):
    message = fail(extract_features, *words(Path("out"), teacher, world, benchmarks))
    assert "teacher.safetensors holds no encoder" in message
    config = read_config(student)
    narrow = Encoder(**config["encoder"])
    config["encoder"]["width"] = 16
    write_weights(Path("w.safetensors"), torch.nn.ModuleDict({"encoder": narrow}), config)
    message = fail(extract_features, *words(Path("out"), Path("w.safetensors"), world, benchmarks))
    assert "w.safetensors: encoder.bn1.bias" in message and "do not fit this Encoder" in message


def test_an_unknown_parameter_is_one_clear_error(params, fail, student, world, benchmarks):
    tree = read()
    tree["benchmarks"]["cifar10_c"]["size"] = 32
    Path("params.yaml").write_text(json.dumps(tree))
    message = fail(extract_features, *words(Path("out"), student, world, benchmarks))
    assert "params.yaml: benchmarks.cifar10_c.size is unknown; remove it" in message
    assert not Path("out").exists()


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(
    params, fail, student, world, benchmarks
):
    Path("out").write_text("a file where the folder should be")
    message = fail(extract_features, *words(Path("out/features"), student, world, benchmarks))
    assert "out" in message and Path("out").is_file()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    params, fail, full_disk, student, world, benchmarks
):
    with full_disk(2_000):
        message = fail(extract_features, *words(Path("out"), student, world, benchmarks))
    assert "error: out: cannot be written" in message and "make room" in message
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["params.yaml"]
