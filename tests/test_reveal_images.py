import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import answer_trials
import list_images
import list_runs
import reveal_images
import train_supervised
from attnlabels.images.decoding import decode
from attnlabels.psychophysics.making import make_experiment
from attnlabels.psychophysics.trials import read_trials
from attnlabels.shards.index import NOBODY
from attnlabels.shards.shards import Sample, Shards, write_shards
from painted import CLASSES, MAKING, SIDE, write_painted, write_pictures
from recipes import SUPERVISED

ROW: dict[str, Any] = {
    "copies": 3,
    "shares": [0.1, 0.5, 1.0],
    "noise": 0.5,
    "background": "grey",
    "patches": None,
    "shard_size": 10,
    "seed": 0,
}

RECIPE = SUPERVISED | {
    "width": 8,
    "batch_size": 9,
    "epochs": 1,
    "warmup_epochs": 0.5,
    "crop_area": [0.5, 1.0],
    "checkpoint_minutes": 5.0,
}


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    return write_painted(tmp_path_factory.mktemp("painted")) / "people"


@pytest.fixture
def reveal(tmp_path, monkeypatch, people) -> Callable[..., Path]:
    """Reveals parts of the images into a folder of shards, with changes to ROW."""
    monkeypatch.chdir(tmp_path)

    def call(out: str = "out", *, images: Path = people, **changed) -> Path:
        Path("params.yaml").write_text(json.dumps({"reveal_images": {"random": ROW | changed}}))
        reveal_images.main("random", images, Path(out))
        return Path(out)

    return call


def grey(picture: np.ndarray) -> np.ndarray:
    return (picture == 128).all(axis=2)


def test_an_image_has_as_many_pictures_as_copies_of_its_class_without_a_map(reveal, people):
    before, after = Shards(people), Shards(reveal())
    assert len(after) == 3 * len(before) and after.classes == CLASSES
    assert [*after.labels] == [label for label in before.labels for _ in range(3)]
    for i in range(len(after)):
        sample = after[i]
        assert sample["source"] == NOBODY and not sample["map"].any()
        assert sample["name"] == before[i // 3]["name"].replace(".png", f"-{i % 3}.png")


def test_pictures_reveal_the_rows_shares_of_their_image(reveal, people):
    before, after = Shards(people), Shards(reveal())
    found = []
    for i in range(len(after)):
        picture = decode(after[i]["image"], name="picture")
        image = decode(before[i // 3]["image"], name="image")
        assert picture.shape == image.shape
        found.append(1 - grey(picture).mean())
        if found[-1] > 0.99:
            assert (picture == image).all()
    # what moved to the middle may lose some pixels
    nearest = np.abs(np.array(found)[:, None] - np.array(ROW["shares"])).argmin(axis=1)
    assert {*nearest} == {0, 1, 2}
    assert (np.array(found) <= np.array(ROW["shares"])[nearest] + 1 / SIDE**2).all()


def test_copies_differ_and_a_second_run_leaves_the_same_bytes(reveal):
    first, second = reveal("one", background="other"), reveal("two", background="other")
    names = sorted(path.name for path in first.iterdir())
    assert len(names) == 7  # four shards, the index, the table and the mark
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    shards = Shards(first)
    assert len({shards[i]["image"] for i in range(len(shards))}) > 0.7 * len(shards)


def test_images_without_a_class_and_single_ones_are_refused(reveal, tmp_path):
    unlabelled = write_painted(tmp_path / "unlabelled", label=-1) / "people"
    with pytest.raises(
        ValueError, match="people: expected two images or more, and a class of each"
    ):
        reveal(images=unlabelled)
    image = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    sample = Sample(
        key="a",
        image=image,
        map=np.ones((4, 4)),
        points=np.zeros((0, 2), np.int64),
        observers=None,
        label=0,
        grid=(8, 8),
        image_size=(8, 8),
        source="test",
        name="a/a.png",
    )
    write_shards(
        tmp_path / "one", [sample], maximum_count=1, maps_by={"kind": "masks"}, classes=["a"]
    )
    with pytest.raises(ValueError, match="one: expected two images or more"):
        reveal(images=tmp_path / "one")
    assert not Path("out").exists()


def test_a_share_that_reveals_nothing_is_refused(reveal):
    with pytest.raises(ValueError, match="reveal_images.random.shares.0: .*greater than 0"):
        reveal(shares=[0.0, 0.5])


def test_a_classifier_learns_from_them_and_takes_part(reveal, people, monkeypatch):
    monkeypatch.setenv("ATTNLABELS_SCRATCH", "scratch")
    reveal("revealed")
    images = write_pictures(people, Path("images"))
    make_experiment(
        {name: people.parent / name for name in ("part", "object")},
        images,
        Path("stimuli"),
        making=MAKING,
    )
    row = {
        "labels": "revealed",
        "backbone": "resnet10",
        "map_size": 8,
        "weights": {"classification": 1.0},
    }
    tree = {
        "threads": 1,
        "study": {"observer": row},
        "study_seeds": [0],
        "train_supervised": {**RECIPE, "image_size": SIDE},
        "list_images": {"test": {"images": "images", "classes": 3, "count": 11}},
        "answer_trials": {"count": 6, "noise_sd": [0.5], "batch_size": 10, "seed": 0},
    }
    tree["list_images"]["test"]["witness"] = "images"
    Path("params.yaml").write_text(json.dumps(tree))
    list_images.main("test", Path("images.csv"))
    list_runs.main("study", Path("runs"))
    weights = Path("networks/observer-0.safetensors")
    train_supervised.main(
        Path("runs/observer.json"),
        0,
        images,
        Path("images.csv"),
        weights,
        Path("curve.csv"),
        Path("report.json"),
    )
    answer_trials.main("study", Path("stimuli"), weights.parent, Path("trials.csv"))
    assert len(read_trials(Path("trials.csv"))) == 6 * 9


def test_patches_are_where_they_are_on_a_neutral_grey(reveal, people):
    patches = {"patch_px": 3, "step_px": 1.0, "neutral": 128}
    before, after = Shards(people), Shards(reveal(patches=patches, background="grey"))
    assert after.index["maps_by"]["form"] == "patches"
    found = []
    for i in range(len(after)):
        picture = decode(after[i]["image"], name="picture")
        image = decode(before[i // 3]["image"], name="image")
        seen = ~grey(picture)
        assert (picture[seen] == image[seen]).all()
        found.append(seen.mean())
    nearest = np.abs(np.array(found)[:, None] - np.array(ROW["shares"])).argmin(axis=1)
    assert {*nearest} == {0, 1, 2}
    assert (np.abs(np.array(found) - np.array(ROW["shares"])[nearest]) < 10 / SIDE**2).all()
