import csv
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

import make_tasks
from attnlabels.scenes.clips import MOTIONS
from tiny_tasks import tiny, write_params


def make(folder: Path, **changed) -> Path:
    """The data of the tiny parameters; `changed` are those of all tasks."""
    tree = tiny()
    for row in tree["make_tasks"].values():
        row |= changed
    write_params(tree)
    make_tasks.main(folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return make(folder)


def test_every_photograph_has_a_mask_and_people(out):
    root = out / "segmentation"
    for split, n in (("train", 24), ("test", 12)):
        tree = json.loads((root / f"annotations/fixations_{split}2014.json").read_text())
        images = {each["id"]: each["file_name"] for each in tree["images"]}
        assert len(images) == n == len([*(root / "images" / split).iterdir()])
        assert {each["image_id"] for each in tree["annotations"]} == {*images}
        for name in images.values():
            mask = cv2.imread(str(root / "masks" / f"{Path(name).stem}.png"), cv2.IMREAD_GRAYSCALE)
            assert mask.shape == (24, 24) and {*mask.flat} == {0, 255}
            assert 0 < mask.mean() < 127


def test_people_look_at_the_part_or_at_the_whole(out):
    lines = {
        name: (out / f"parts/gaze_{name}.txt").read_text().splitlines()
        for name in ("always", "never")
    }
    assert len(lines["always"]) == len(lines["never"]) == 36
    spreads = {
        name: np.mean(
            [np.array(each.split(",")[3:], int).reshape(-1, 3)[:, :2].std(axis=0) for each in rows]
        )
        for name, rows in lines.items()
    }
    assert spreads["always"] < spreads["never"]
    split = [
        line.split()[1] for line in (out / "parts/train_test_split.txt").read_text().splitlines()
    ]
    assert Counter(split) == {"1": 24, "0": 12}


def test_every_clip_is_of_its_motion_and_is_looked_at_in_each_frame(out):
    for split, n in (("train", 24), ("test", 12)):
        clips = [*(out / "action" / split).glob("*/*")]
        assert Counter(each.parent.name for each in clips) == dict.fromkeys(
            MOTIONS, n // len(MOTIONS)
        )
        assert {len([*each.iterdir()]) for each in clips} == {4}
        with (out / "action" / split / "gaze.csv").open() as file:
            looks = Counter((row["clip"], row["frame"]) for row in csv.DictReader(file))
        assert len(looks) == 4 * n and {*looks.values()} == {5}


def test_it_is_the_same_whatever_the_number_of_workers(out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = make(tmp_path, workers=2)
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert all((out / path).read_bytes() == (again / path).read_bytes() for path in files)


def test_classes_of_unequal_size_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree = tiny()
    tree["make_tasks"]["parts"]["n_test"] = 13
    write_params(tree)
    with pytest.raises(ValueError, match=r"make_tasks\.parts\.n_test is 13"):
        make_tasks.main(tmp_path / "out")
    assert not (tmp_path / "out").exists()
