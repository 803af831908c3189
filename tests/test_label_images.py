import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

import label_images
from attnlabels.datasets.image_folder import read_manifest
from attnlabels.datasets.images import read_image, resize
from attnlabels.datasets.shards import Shards, decode_map, encode_map, verify
from attnlabels.models.files import load_weights, write_weights
from attnlabels.models.pseudo_fixations import pseudo_fixations
from attnlabels.models.teacher import Teacher
from attnlabels.params import load, read

MODEL: dict[str, Any] = {"taps": [3, 5, 7, 9], "pool_stride": 1, "output": "learnt_offset"}
BROKEN = "n00000002/n00000002_5.JPEG"
Label = Callable[..., Shards]


def words(out: Path, teacher: Path, world: Path, images: Path | None = None) -> list[Path]:
    """The arguments that label the world's training images, or other files of the same names."""
    data = world / "data"
    found = images or data / "scenes/imagenet/train"
    outs = out / "labels", out / "examples.npz"
    return [teacher, found, data / "images/train.csv", data / "attention/eye", *outs]


@pytest.fixture
def label(params, teacher, world) -> Label:
    """Labels the world's training images into a folder; changes are to `label_images`."""

    def call(out: str = "out", images: Path | None = None, **changed) -> Shards:
        params({f"label_images.{key}": value for key, value in changed.items()})
        label_images.main(*words(Path(out), teacher, world, images))
        return Shards(Path(out) / "labels")

    return call


@pytest.fixture
def photographs(world, tmp_path) -> Path:
    """The training images anew, to be broken."""
    images = world / "data/scenes/imagenet/train"
    for path in images.rglob("*.JPEG"):
        copy = tmp_path / "photographs" / path.relative_to(images)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return tmp_path / "photographs"


@pytest.fixture
def network(teacher) -> Teacher:
    built = Teacher(**MODEL)
    load_weights(teacher, built)
    return built.eval()


def contents(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_every_image_is_labelled_once_in_the_lists_order_and_its_file_is_kept(
    label, teacher, world
):
    shards, listed = label(), read_manifest(world / "data/images/train.csv")
    verify(shards.folder)
    assert [shards[i]["name"] for i in range(len(shards))] == listed.paths.tolist()
    assert shards.labels.tolist() == listed.labels.tolist() and shards.classes == listed.classes
    for i, name in enumerate(listed.paths):
        path = world / "data/scenes/imagenet/train" / name
        assert shards[i]["image"] == path.read_bytes() and shards[i]["image_size"] == (24, 24)
        assert shards[i]["observers"] is None and shards[i]["source"] == "teacher"
    digest = hashlib.sha256(teacher.read_bytes()).hexdigest()
    assert shards.index["maps_by"] == {"kind": "teacher", "sha256": digest}
    assert [each["count"] for each in shards.index["shards"]] == [10, 10, 4]
    assert shards.index["skipped"] == []


def test_a_second_run_leaves_the_same_bytes(label):
    label("first")
    label("second")
    assert contents(Path("first")) == contents(Path("second"))
    assert set(contents(Path("first"))) == {
        "examples.npz", "labels/index.json", "labels/samples.npy",
        *(f"labels/shard-{k:06d}.tar" for k in range(3)),
    }


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_number_of_workers_changes_nothing(label):
    label("none", workers=0)
    label("two", workers=2)
    assert contents(Path("none")) == contents(Path("two"))


def test_the_map_is_the_teachers_in_area_means_and_the_points_are_its_pseudo_fixations(
    label, network
):
    shards = label(maximum_points=5)
    for i in (0, 7, 23):
        sample = shards[i]
        image = cv2.imdecode(np.frombuffer(sample["image"], np.uint8), cv2.IMREAD_COLOR_RGB)
        pixels = torch.from_numpy(resize(image, 32, 32)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            map = F.adaptive_avg_pool2d(network(pixels), 12)
        points, counts = pseudo_fixations(map, sigma_px=3 * 12 / 64, threshold=0.2, maximum=5)
        np.testing.assert_allclose(
            sample["map"], decode_map(encode_map(map[0].numpy())), atol=2 / 65535
        )
        assert sample["points"].tolist() == points[0, : counts[0]].tolist()
        assert sample["grid"] == (12, 12) and len(sample["points"]) == 5


def test_labels_of_a_mirror_image_are_the_mirrored_labels(params, network, world):
    params({"label_images.mirror": True})
    p = load(label_images.LabelImages, "label_images")
    path = world / "data/scenes/imagenet/train/n00000001/n00000001_1.JPEG"
    pixels = resize(read_image(path), 32, 32)
    both = np.stack([pixels, pixels[:, ::-1]])
    maps, _, _ = label_images.label(network, both, p=p, device=torch.device("cpu"))
    torch.testing.assert_close(maps[0], maps[1].flip(1))
    assert not torch.allclose(maps[0], maps[0].flip(1))


def test_examples_show_the_recordings_with_their_labels(label, world):
    label()
    people = Shards(world / "data/attention/eye")
    with np.load("out/examples.npz") as examples:
        assert set(examples) == {"images", "human", "teacher", "points", "names"}
        assert examples["names"].tolist() == [people[i]["name"] for i in range(2)]
        np.testing.assert_array_equal(examples["human"], [people[i]["map"] for i in range(2)])
        assert examples["images"].shape == (2, 24, 32, 3)
        assert examples["teacher"].shape == (2, 12, 12) and examples["points"].shape[0] == 2


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def scribble(path: Path) -> None:
    path.write_bytes(b"no photograph")


@pytest.mark.parametrize(("harm", "what"), [
    (remove, "No such file"), (cut, "truncated"), (scribble, "truncated or not an image"),
])
def test_a_broken_file_stops_or_is_skipped_and_counted(label, photographs, harm, what):
    harm(photographs / BROKEN)
    with pytest.raises(ValueError, match=what) as stopped:
        label(images=photographs)
    assert BROKEN in str(stopped.value) and "set label_images.broken to skip" in str(stopped.value)
    assert not list(Path("out").iterdir())
    shards = label(images=photographs, broken="skip")
    assert len(shards) == 23 and shards.index["samples"] == 23
    assert shards.index["skipped"] == [BROKEN]
    assert BROKEN not in {shards[i]["name"] for i in range(23)}


def test_skipping_a_file_leaves_the_others_labels_as_they_were(label, photographs):
    whole = label("whole")
    cut(photographs / BROKEN)
    rest = label("rest", images=photographs, broken="skip")
    kept = [i for i in range(24) if whole[i]["name"] != BROKEN]
    for i, j in zip(kept, range(23)):
        assert whole[i]["name"] == rest[j]["name"]
        np.testing.assert_allclose(whole[i]["map"], rest[j]["map"], atol=2 / 65535)


def test_nothing_but_broken_files_is_an_error(label, photographs):
    for path in photographs.rglob("*.JPEG"):
        cut(path)
    with pytest.raises(ValueError, match="no sample was written; check the stage's input"):
        label(images=photographs, broken="skip")
    assert not list(Path("out").iterdir())


def spoil(teacher: Path, *, value: float) -> Path:
    """The teacher with one value in all weights of its branches, in the current folder."""
    network = Teacher(**MODEL)
    load_weights(teacher, network)
    for each in network.branches.parameters():
        torch.nn.init.constant_(each, value)
    spoilt = Path("spoilt.safetensors")
    write_weights(spoilt, network, {"teacher": MODEL, "image_size": [24, 32]})
    return spoilt


def test_maps_that_are_not_finite_are_refused_even_where_files_are_skipped(params, teacher, world):
    params({"label_images.broken": "skip"})
    with pytest.raises(ValueError, match="maps are not finite; train it again, or set label_im"):
        label_images.main(*words(Path("out"), spoil(teacher, value=float("nan")), world))
    assert not list(Path("out").iterdir())


def test_a_constant_map_is_refused(params, fail, teacher, world):
    message = fail(label_images, *words(Path("out"), spoil(teacher, value=0.0), world))
    assert "n00000001_1.JPEG: the teacher's map is the same everywhere; train the" in message
    assert not list(Path("out").iterdir())


def test_weights_of_another_network_are_refused(params, fail, student, world):
    assert "student.safetensors holds no teacher" in fail(
        label_images, *words(Path("out"), student, world)
    )
    torch.manual_seed(0)
    other = Teacher(**(MODEL | {"output": "literal"}))
    write_weights(Path("w.safetensors"), other, {"teacher": MODEL, "image_size": [24, 32]})
    message = fail(label_images, *words(Path("out"), Path("w.safetensors"), world))
    assert "w.safetensors: offset is missing" in message and "do not fit this Teacher" in message


def test_missing_recordings_stop_before_any_image_is_labelled(
    params, monkeypatch, teacher, world
):
    monkeypatch.setattr(label_images, "label", None)
    arguments = words(Path("out"), teacher, world)
    arguments[3] = Path("nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere/index.json: not here"):
        label_images.main(*arguments)


def test_an_unknown_parameter_is_one_clear_error(params, fail, teacher, world):
    tree = read()
    tree["label_images"]["mirorr"] = True
    Path("params.yaml").write_text(json.dumps(tree))
    message = fail(label_images, *words(Path("out"), teacher, world))
    assert "params.yaml: label_images.mirorr is unknown; remove it or mend its spelling" in message


def test_an_output_folder_that_cannot_be_made_is_one_clear_error(params, fail, teacher, world):
    Path("out").write_text("a file where the folder should be")
    assert "out" in fail(label_images, *words(Path("out"), teacher, world))


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    params, fail, full_disk, teacher, world
):
    with full_disk(4_000):
        message = fail(label_images, *words(Path("out"), teacher, world))
    assert "labels: cannot be written" in message and "File too large" in message
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["params.yaml"]
