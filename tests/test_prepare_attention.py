import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from attnlabels.images.names import fold_of
from attnlabels.recordings.density import density
from attnlabels.shards.shards import Shards, verify
from prepare_attention import main

NAMES = [f"COCO_train2014_{k:012d}.jpg" for k in range(12)]
SIZE = (48, 64)
ROW = {
    "layout": "salicon_json",
    "images": "images",
    "annotations": "a.json",
    "maps": None,
    "points": "fixations",
    "outside": "refuse",
    "count": "binary",
    "border": "zeros",
    "sigma_px": 19.0,
    "sigma_width": 640,
    "map_size": [24, 32],
    "folds": 1,
    "keep": [0],
    "expected": 12,
    "broken": "stop",
    "shard_size": 5,
}
N_WORKERS = 3


def points_of(k: int) -> np.ndarray:
    """[worker, point, (row, col)] from 1."""
    rng = np.random.default_rng(k)
    return 1 + rng.integers(0, SIZE, (N_WORKERS, 4, 2))


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch) -> None:
    """Twelve noisy photographs with mouse recordings in SALICON's JSON."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for k, name in enumerate(NAMES):
        pixels = np.random.default_rng(k).integers(0, 256, (*SIZE, 3), np.uint8)
        assert cv2.imwrite(f"images/{name}", pixels)
    write_json()


def write_json() -> None:
    content = {
        "images": [
            {"id": k, "file_name": name, "height": SIZE[0], "width": SIZE[1]}
            for k, name in enumerate(NAMES)
        ],
        "annotations": [
            {"id": 0, "image_id": k, "worker_id": worker, "fixations": points.tolist()}
            for k in range(len(NAMES))
            for worker, points in enumerate(points_of(k))
        ],
    }
    Path("a.json").write_text(json.dumps(content))


def prepare(*, annotations: str = "a.json", out: str = "out", **changes) -> Shards:
    Path("params.yaml").write_text(json.dumps({"prepare_attention": {"train": ROW | changes}}))
    main("train", Path("images"), Path(annotations), Path(out))
    return Shards(Path(out))


def test_shards_hold_images_maps_points_and_observers():
    shards = prepare()
    assert len(shards) == 12 and (shards.labels == -1).all()
    verify(Path("out"))
    for k, name in enumerate(NAMES):
        sample, points = shards[k], points_of(k).reshape(-1, 2) - 1
        assert sample["key"] == Path(name).stem and sample["name"] == name
        assert sample["image"] == Path("images", name).read_bytes()
        assert sample["grid"] == sample["image_size"] == SIZE
        assert np.array_equal(sample["points"], points)
        assert sample["observers"].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_map_is_the_density_at_the_images_size_with_sigma_scaled_by_width_then_reduced():
    shards = prepare()
    full = density(
        points_of(3).reshape(-1, 2) - 1,
        height=48,
        width=64,
        sigma_px=19.0 * 64 / 640,
        count="binary",
    )
    expected = full.reshape(24, 2, 32, 2).mean((1, 3))
    assert shards[3]["map"].shape == (24, 32)
    assert np.abs(shards[3]["map"] - expected / expected.max()).max() < 1e-4


def test_the_border_is_the_rows_and_told():
    shards = {border: prepare(border=border, out=border) for border in ("zeros", "reflect")}
    for border, each in shards.items():
        assert each.index["maps_by"]["border"] == border
    assert np.abs(shards["zeros"][3]["map"] - shards["reflect"][3]["map"]).max() > 0.01


def test_second_run_is_byte_identical():
    prepare(out="first")
    prepare(out="second")
    names = sorted(path.name for path in Path("first").iterdir())
    assert len(names) == 6  # three shards, the table, the index and the mark
    for name in names:
        assert Path("first", name).read_bytes() == Path("second", name).read_bytes()


def test_folds_share_no_image_and_cover_all():
    parts = [
        {shards[i]["name"] for i in range(len(shards))}
        for shards in (
            prepare(folds=3, keep=[0, 2], expected=None, out="a"),
            prepare(folds=3, keep=[1], expected=None, out="b"),
        )
    ]
    assert sum(map(len, parts)) == 12 and set.union(*parts) == set(NAMES)


def test_fold_depends_on_the_file_name_alone():
    assert fold_of("a/b/1001.jpg", 20) == fold_of("1001.jpg", 20) == 0xE559A4B5 % 20


def test_json_and_mat_give_the_same_shards_but_for_their_source():
    Path("mat").mkdir()
    for k, name in enumerate(NAMES):
        gaze = np.empty((N_WORKERS, 1), [("location", object), ("fixations", object)])
        for row, points in zip(gaze, points_of(k)):
            row[0] = points.astype(np.int16)[:, ::-1], points.astype(np.uint8)[:, ::-1]
        savemat(f"mat/{Path(name).stem}.mat", {"gaze": gaze, "resolution": [SIZE]})
    mat = prepare(annotations="mat", layout="salicon_mat", out="from_mat")
    raw = prepare(annotations="mat", layout="salicon_mat", points="location", out="from_raw")
    for a, b, c in zip(prepare(), mat, raw):
        for field in ("key", "image", "name", "grid"):
            assert a[field] == b[field] == c[field]
        for field in ("map", "points", "observers"):
            assert np.array_equal(a[field], b[field]) and np.array_equal(a[field], c[field])


def write_maps() -> None:
    Path("maps").mkdir()
    for k, name in enumerate(NAMES):
        map = np.full(SIZE, 10, np.uint8)
        map[2 * k : 2 * k + 2] = 200
        assert cv2.imwrite(f"maps/{Path(name).stem}.png", map)


def test_ready_made_maps_are_reduced_and_scaled():
    write_maps()
    map = prepare(maps="maps")[3]["map"]
    assert (map[3] == 1).all() and map[[2, 4]].max() == pytest.approx(0.05, abs=1e-4)


def test_ready_made_map_that_is_missing_empty_or_of_another_size_is_refused():
    write_maps()
    path = Path("maps", f"{Path(NAMES[4]).stem}.png")
    cv2.imwrite(str(path), np.zeros(SIZE, np.uint8))
    with pytest.raises(ValueError, match=r"04\.png: the map is 0 everywhere; fetch it again"):
        prepare(maps="maps")
    cv2.imwrite(str(path), np.ones((64, 48), np.uint8))
    with pytest.raises(ValueError, match=r"04\.png has 64 x 48 pixels .*annotations 48 x 64; take"):
        prepare(maps="maps")
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"04\.png: the map is missing; put it there, or let"
    ):
        prepare(maps="maps")


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def turn(path: Path) -> None:
    assert cv2.imwrite(str(path), np.zeros((64, 48, 3), np.uint8))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (remove, "has annotations, but the image is missing; put it there, or set `broken: skip`"),
        (cut, "truncated .*fetch it again"),
        (turn, r"has 64 x 48 pixels \(height x width\), its annotations 48 x 64; take the images"),
    ],
)
def test_broken_image_stops_or_is_skipped_and_listed(harm, message):
    harm(Path("images", NAMES[7]))
    with pytest.raises((ValueError, FileNotFoundError), match=f"{NAMES[7]}:? {message}"):
        prepare()
    assert not Path("out").exists() and not list(Path().glob(".out*"))
    shards = prepare(broken="skip")
    assert len(shards) == 11 and shards.index["skipped"] == [NAMES[7]]


def test_points_outside_and_names_of_one_photograph_are_counted():
    tree = json.loads(Path("a.json").read_text())
    tree["annotations"][0]["fixations"].append([60, 1])
    tree["images"].append({"id": 99, "file_name": f"./{NAMES[3]}", "height": 48, "width": 64})
    tree["annotations"].append({"image_id": 99, "worker_id": 7, "fixations": [[1, 1]]})
    Path("a.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=r"row 60, col 1\) is outside"):
        prepare()
    for outside, counts in {"drop": (1, 0), "clip": (0, 1)}.items():
        index = prepare(outside=outside, out=outside).index
        assert index["samples"] == 12 and index["maps_by"]["outside"] == outside
        found = [index["maps_by"][f"{key}_points"] for key in ("dropped", "clipped")]
        assert tuple(found) == counts and index["maps_by"]["merged_names"] == 1


def test_an_image_in_which_nobody_looked_stops_or_is_skipped():
    tree = json.loads(Path("a.json").read_text())
    for each in tree["annotations"]:
        if each["image_id"] == 5:
            each["fixations"] = []
    Path("a.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=rf"{NAMES[5]}: nobody has a point in it; take it from"):
        prepare()
    assert prepare(broken="skip").index["skipped"] == [NAMES[5]]


def test_osies_mouse_samples_are_read_as_published():
    Path("mouse").mkdir()
    for k in (1, 2):
        pixels = np.random.default_rng(k).integers(0, 256, (600, 800, 3), np.uint8)
        assert cv2.imwrite(f"images/{1000 + k}.jpg", pixels)
        struct = {"coord": np.array([[k, 5], [600, 800]]), "subj": np.array([[7], [8]])}
        savemat(f"mouse/{1000 + k}.mat", {"fixations": struct})
    shards = prepare(annotations="mouse", layout="osie_mouse", expected=2)
    assert [shards[i]["name"] for i in range(2)] == ["1001.jpg", "1002.jpg"]
    assert shards[1]["points"].tolist() == [[1, 4], [599, 799]]
    assert shards[1]["observers"].tolist() == [7, 8]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"expected": 13}, r"a\.json: 12 images in the folds kept, 13 expected; .*mend params\."),
        ({"folds": 997, "keep": [0]}, r"a\.json: no image in the folds of .*keep; keep more"),
        ({"keep": [1]}, r"prepare_attention\.train\.keep is \(1,\); expected different folds of 0"),
        ({"folds": 3, "keep": [1, 1]}, r"keep is \(1, 1\); expected different folds of 0\.\.2"),
        ({"keep": []}, r"train\.keep: .*at least 1 item"),
        ({"points": "location"}, "salicon_json has no `location`; expected `fixations`"),
        ({"layout": "coco"}, "prepare_attention.train.layout: .*salicon_json"),
        ({"sigma_px": 0}, "sigma_px: .*greater than 0"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        prepare(**changes)
    assert not Path("out").exists()
