import hashlib
import json
import pickle
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

import make_scenes
from attnlabels.recordings.salicon import read_json
from attnlabels.scenes.scenes import Style
from attnlabels.scenes.splits import classified

ROW = {
    "seed": 0,
    "workers": 1,
    "size": 24,
    "n_classes": 4,
    "n_train": 12,
    "n_val": 8,
    "n_cifar_train": 50,
    "n_cifar_test": 20,
    "n_attention_train": 4,
    "n_attention_val": 3,
    "n_eye": 5,
    "two_objects": 0.5,
    "object_size": [0.4, 0.6],
    "object_spread": 0.2,
    "rotation_sd": 0.3,
    "hue_jitter": 0.03,
    "contrast": 0.35,
    "period": [0.1, 0.2],
    "n_regions": [1, 2],
    "n_distractors": [2, 5],
    "occlusion": 0.5,
    "shortcut": 0.0,
    "noise_sd": 0.02,
    "cifar_texture_shift": 3,
    "cifar_hue_shift": 0.05,
    "mouse": {
        "attention": {
            "object_weight": 0.5,
            "contrast_weight": 0.1,
            "centre_weight": 0.3,
            "centre_sigma": 0.22,
        },
        "n_observers": 6,
        "n_targets": 3,
        "n_samples": 12,
        "interest_sd": 0.5,
    },
    "eye": {
        "attention": {
            "object_weight": 0.5,
            "contrast_weight": 0.1,
            "centre_weight": 0.2,
            "centre_sigma": 0.25,
        },
        "n_observers": 4,
        "n_fixations": 5.0,
        "interest_sd": 0.5,
        "error_px": 1.0,
    },
}


def make(folder, **changed):
    """The data set of ROW with changes, drawn below `folder`, which must be the current one."""
    folder.mkdir(exist_ok=True)
    with Path("params.yaml").open("w") as file:
        YAML().dump({"make_scenes": {"tiny": ROW | changed}}, file)
    make_scenes.main("tiny", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return make(folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_second_run_writes_the_same_bytes(out, here):
    assert digests(make(here)) == digests(out)


def test_the_number_of_workers_changes_nothing(out, here):
    assert digests(make(here, workers=2)) == digests(out)


def test_another_seed_changes_every_picture_and_every_point(out, here):
    first, second = digests(out), digests(make(here, seed=1))
    assert set(first) == set(second)
    same = {name for name in first if first[name] == second[name]}
    assert same == {"README.txt", "cifar-10-batches-py/batches.meta"}


def test_imagenet_has_a_folder_for_each_class_and_equally_many_images_in_each(out):
    for split, n in (("train", 3), ("val", 2)):
        folders = sorted((out / "imagenet" / split).iterdir())
        assert [each.name for each in folders] == [f"n{k:08d}" for k in range(1, 5)]
        assert [len(list(each.glob("*.JPEG"))) for each in folders] == [n] * 4
    assert (out / "imagenet/train/n00000002/n00000002_2.JPEG").is_file()
    assert (out / "imagenet/val/n00000004/ILSVRC2012_val_00000008.JPEG").is_file()


def test_no_image_is_in_two_sets(out):
    pictures = [path.read_bytes() for path in out.rglob("*") if path.suffix in (".jpg", ".JPEG")]
    assert len(pictures) == 12 + 8 + 4 + 3 + 5
    assert len(set(pictures)) == len(pictures)


def row_style(*, texture_shift, hue_shift):
    names = [each.name for each in fields(Style) if each.name in ROW]
    knobs = {name: ROW[name] for name in names}
    knobs |= {name: tuple(value) for name, value in knobs.items() if isinstance(value, list)}
    return Style(**knobs, texture_shift=texture_shift, hue_shift=hue_shift)


def test_a_jpeg_is_the_scene_in_rgb(out):
    style = row_style(texture_shift=0, hue_shift=0.0)
    scene = classified(1, split="imagenet train", seed=0, n_classes=4, size=24, style=style)
    stored = cv2.imread(str(out / "imagenet/train/n00000002/n00000002_2.JPEG"))[..., ::-1]
    assert np.abs(stored.astype(int) - scene.image).mean() < 4


def attention_sets(out):
    for split, n in (("train", 4), ("val", 3)):
        path = out / "salicon" / "annotations" / f"fixations_{split}2014.json"
        yield path, out / "salicon" / "images" / split, n, 6
    yield out / "osie" / "eye.json", out / "osie" / "images", 5, 4


def test_attention_has_the_layout_of_salicon(out):
    for path, images, n, n_observers in attention_sets(out):
        tree = json.loads(path.read_text())
        assert set(tree) == {"info", "images", "licenses", "type", "annotations"}
        assert tree["type"] == "fixations"
        assert {each["file_name"] for each in tree["images"]} == {p.name for p in images.iterdir()}
        assert len(tree["images"]) == n
        for each in tree["images"]:
            assert set(each) == {"id", "file_name", "width", "height", "license"}
            stored = cv2.imread(str(images / each["file_name"]))
            assert stored.shape == (each["height"], each["width"], 3) == (24, 32, 3)
        rows = tree["annotations"]
        assert [each["id"] for each in rows] == list(range(1, n * n_observers + 1))
        assert [(each["image_id"], each["worker_id"]) for each in rows] == [
            (image["id"], worker)
            for image in tree["images"]
            for worker in range(1, n_observers + 1)
        ]


def test_points_are_row_and_column_from_1_inside_the_image(out):
    for path, *_ in attention_sets(out):
        for each in json.loads(path.read_text())["annotations"]:
            points = np.array(each["fixations"])
            assert points.dtype.kind == "i" and points.min() >= 1
            assert points[:, 0].max() <= 24 and points[:, 1].max() <= 32


def test_every_training_image_has_recordings_and_a_mask_and_no_other_has(out):
    def names(folder):
        return {
            str(path.relative_to(folder).with_suffix(".JPEG"))
            for path in folder.rglob("*")
            if path.is_file()
        }

    images = names(out / "imagenet/train")
    assert names(out / "masks/train") == images
    people = {each.name: each for each in read_json(out / "people/fixations_train.json")}
    assert set(people) == images and len(images) == 12
    for each in people.values():
        assert (each.height, each.width) == (24, 24)
        assert sorted(set(each.observers.tolist())) == [1, 2, 3, 4, 5, 6]


def test_a_mask_is_where_the_object_of_its_image_is_and_people_look_there(out):
    style, shares = row_style(texture_shift=0, hue_shift=0.0), []
    people = read_json(out / "people" / "fixations_train.json")
    for index, recorded in enumerate(people):
        scene = classified(index, split="imagenet train", seed=0, n_classes=4, size=24, style=style)
        path = out / "masks" / "train" / Path(recorded.name).with_suffix(".png")
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(mask, np.rint(255 * scene.mask))
        rows, cols = recorded.points.T
        shares.append((mask[rows, cols] > 127).mean() / (mask > 127).mean())
    assert np.mean(shares) > 1.5


def test_images_are_numbered_and_named_as_published(out):
    salicon = json.loads((out / "salicon/annotations/fixations_val2014.json").read_text())
    assert salicon["images"][2]["id"] == 3
    assert salicon["images"][2]["file_name"] == "COCO_val2014_000000000003.jpg"
    osie = json.loads((out / "osie/eye.json").read_text())
    assert [each["file_name"] for each in osie["images"]][:2] == ["1001.jpg", "1002.jpg"]


def test_only_fixations_of_the_eye_have_durations_one_each(out):
    for path, *_ in attention_sets(out):
        for each in json.loads(path.read_text())["annotations"]:
            assert ("durations" in each) == (path.name == "eye.json")
            if "durations" in each:
                assert len(each["durations"]) == len(each["fixations"])


def batch(path):
    return pickle.loads(path.read_bytes(), encoding="latin1")


def test_cifar_has_five_batches_and_a_test_batch_of_ten_equally_large_classes(out):
    folder = out / "cifar-10-batches-py"
    sizes = {f"data_batch_{k}": 10 for k in range(1, 6)} | {"test_batch": 20}
    assert {each.name for each in folder.iterdir()} == set(sizes) | {"batches.meta"}
    for name, n in sizes.items():
        each = batch(folder / name)
        assert set(each) == {"batch_label", "labels", "data", "filenames"}
        assert each["data"].shape == (n, 3072) and each["data"].dtype == np.uint8
        assert sorted(each["labels"]) == sorted(list(range(10)) * (n // 10))
        assert len(set(each["filenames"])) == n
    meta = batch(folder / "batches.meta")
    assert meta["num_cases_per_batch"] == 10 and meta["num_vis"] == 3072
    assert len(set(meta["label_names"])) == 10
    assert batch(folder / "data_batch_2")["batch_label"] == "training batch 2 of 5"


def test_a_row_of_cifar_is_a_red_a_green_and_a_blue_plane(out):
    style = row_style(texture_shift=3, hue_shift=0.05)
    scene = classified(4, split="cifar test", seed=0, n_classes=10, size=32, style=style)
    row = batch(out / "cifar-10-batches-py" / "test_batch")["data"][4]
    np.testing.assert_array_equal(row[1024:2048].reshape(32, 32), scene.image[..., 1])
    np.testing.assert_array_equal(row.reshape(3, 32, 32), scene.image.transpose(2, 0, 1))


def test_the_readme_says_that_all_is_synthetic_and_gives_the_model_of_attention(out):
    text = (out / "README.txt").read_text()
    assert text.startswith("Synthetic data")
    assert "p  =  a O + b C + g G" in text


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"n_train": 13}, "make_scenes.tiny.n_train is 13, expected a multiple of n_classes"),
        ({"n_val": 9}, "make_scenes.tiny.n_val is 9"),
        ({"n_cifar_train": 60}, "n_cifar_train.*multiple of 50"),
        ({"n_cifar_test": 15}, "n_cifar_test.*multiple of 10"),
        ({"n_classes": 11}, "n_classes.*less than or equal to 10"),
        ({"size": 8}, "size.*greater than or equal to 16"),
        ({"shortcut": 1.5}, "shortcut.*less than or equal to 1"),
        ({"object_size": [0.6, 0.4]}, "object_size is"),
        ({"mouse": ROW["mouse"] | {"n_observers": 0}}, "mouse.n_observers"),
        ({"eye": ROW["eye"] | {"observers": 3}}, "eye.observers is unknown"),
        (
            {"eye": ROW["eye"] | {"attention": ROW["eye"]["attention"] | {"object_weight": 0.9}}},
            "weights of attention",
        ),
    ],
)
def test_parameters_out_of_range_are_refused_and_leave_nothing_behind(here, changed, message):
    with pytest.raises(ValueError, match=message):
        make(here, **changed)
    assert [each.name for each in here.iterdir()] == ["params.yaml"]
