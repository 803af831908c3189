import copy
import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

import make_painted_scenes
from attnlabels.clickmaps.examples import as_example
from attnlabels.clickmaps.submissions import read_csv, read_npz
from attnlabels.clickmaps.tfrecord import Records, parse_example

ROW = {
    "seed": 0,
    "workers": 1,
    "size": 32,
    "n_classes": 4,
    "n_train": 16,
    "n_test": 8,
    "object_size": [0.4, 0.5],
    "object_spread": 0.2,
    "part_size": 0.4,
    "rotation_sd": 0.3,
    "hue_jitter": 0.02,
    "contrast": 0.45,
    "period": [0.06, 0.12],
    "n_regions": [1, 2],
    "n_distractors": [1, 3],
    "shortcut": 0.7,
    "noise_sd": 0.02,
    "painted": 0.7,
    "crowd": {
        "n_players": 8,
        "n_mobile": 1,
        "per_image": [4, 6],
        "part_share": [0.7, 0.95],
        "unsteadiness": [0.005, 0.02],
        "n_clicks": [8, 12],
        "step": 0.05,
        "again": 0.2,
    },
}


def make(folder: Path, **changed) -> Path:
    """The data of ROW with changes, drawn below `folder`, which must be the current one."""
    row = copy.deepcopy(ROW) | changed
    Path("params.yaml").write_text(json.dumps({"make_painted_scenes": {"tiny": row}}))
    make_painted_scenes.main("tiny", folder / "out")
    return folder / "out"


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("painted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return make(folder)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_row_gives_the_same_bytes_with_any_number_of_workers(out, here):
    assert digests(make(here, workers=2)) == digests(out)


def test_another_seed_changes_all_but_the_words(out, here):
    first, second = digests(out), digests(make(here, seed=1))
    assert set(first) == set(second)
    assert {name for name in first if first[name] == second[name]} == {"README.txt"}


def test_every_image_has_its_masks_and_its_bottom_up_map(out):
    for split, n in (("train", 16), ("test", 8)):
        names = sorted(path.relative_to(out / "imagenet") for path in images_of(out, split))
        assert len(names) == n
        assert Counter(name.parts[1] for name in names) == {
            f"n{k:08d}": n // 4 for k in range(1, 5)
        }
        for name in names:
            object, part, bottom_up = (
                cv2.imread(str(out / kind / name.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
                for kind in ("objects", "parts", "bottom_up")
            )
            assert object.shape == part.shape == bottom_up.shape == (32, 32)
            assert 0 < part.sum() < object.sum() and (part <= object).all()
            assert bottom_up.dtype == np.uint16 and bottom_up.max() == 65535


def images_of(out: Path, split: str) -> list[Path]:
    return [*(out / "imagenet" / split).glob("*/*.JPEG")]


def test_records_hold_the_images_their_classes_and_the_maps_of_a_share(out):
    (path,) = (out / "clickme1" / "train").iterdir()
    found = [as_example(parse_example(each), classes=4) for each in Records(path)]
    assert [each.label for each in found] == [k % 4 for k in range(16)]
    by_number = sorted(images_of(out, "train"), key=lambda path: int(path.stem.split("_")[1]))
    assert [each.image for each in found] == [path.read_bytes() for path in by_number]
    painted = [each.map is not None for each in found]
    assert 4 < sum(painted) < 16
    for path, each in zip(by_number, found):
        if each.map is not None:
            part = cv2.imread(str(out / "parts/train" / path.parent.name / f"{path.stem}.png"), 0)
            assert each.map[part > 200].mean() > 3 * each.map[part == 0].mean()


def test_table_and_columns_hold_the_same_clicks_which_are_mostly_on_the_part(out):
    rows, columns = (
        list(read(out / "clickme2" / f"train.{suffix}"))
        for read, suffix in ((read_csv, "csv"), (read_npz, "npz"))
    )
    assert len(rows) == len(columns) >= 16 * 4
    shares = []
    for row, other in zip(rows, columns):
        assert row[:2] == other[:2] and row[3:5] == other[3:5]
        assert np.array_equal(row.clicks, other.clicks)
        part = cv2.imread(str(out / "parts" / Path(row.image).with_suffix(".png")), 0)
        x, y = row.clicks.astype(int).T
        shares.append((part[y, x] > 0).mean())
    assert {each.image for each in rows} == {
        f"train/{path.parent.name}/{path.name}" for path in images_of(out, "train")
    }
    good = [share for share, row in zip(shares, rows) if row.catch_trial >= 0.95]
    bad = [share for share, row in zip(shares, rows) if row.catch_trial < 0.95]
    assert np.median(good) > 0.6 and np.mean(bad) < 0.3
    assert len({row.player for row in rows}) == 8


def test_some_submit_twice_and_a_header_names_the_columns(out):
    with (out / "clickme2" / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["image_path", "clicks", "user_id", "user_catch_trial", "is_mobile"]
    times = Counter((row["image_path"], row["user_id"]) for row in rows)
    assert max(times.values()) == 2


def test_the_readme_says_what_it_is(out):
    text = (out / "README.txt").read_text()
    assert "Synthetic data" in text and "disc, triangle, square, star." in text
    assert "colours in the whole object" in text and "differ in a part" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_train": 15}, "make_painted_scenes.tiny.n_train is 15, expected a multiple of n_cl"),
        ({"part_size": 0.9}, "part_size is 0.9; expected above 0, at most 0.5"),
        ({"crowd": ROW["crowd"] | {"n_players": 4}}, "crowd.n_players.*greater than 4"),
        ({"crowd": ROW["crowd"] | {"per_image": [9, 9]}}, "per_image ends at 9, of 8 players"),
        ({"occlusion": 0.1}, "occlusion is unknown"),
    ],
)
def test_a_row_that_cannot_be_is_refused_and_leaves_nothing(here, changes, message):
    with pytest.raises(ValueError, match=message):
        make(here, **changes)
    assert not (here / "out").exists() and not [*here.glob(".out*")]
