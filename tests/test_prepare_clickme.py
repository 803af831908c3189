import copy
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import make_painted_scenes
import prepare_clickme
from attnlabels.clickmaps.blurring import blur, mean_map
from attnlabels.clickmaps.submissions import read_csv
from attnlabels.images.decoding import resize_map
from attnlabels.shards.faults import check
from attnlabels.shards.shards import Shards
from test_make_painted_scenes import ROW as SCENES

CLASSES = [f"n{k:08d}" for k in range(1, 5)]
RECORDS = {
    "images": "images",
    "clicks": "clicks",
    "classes": 4,
    "filters": None,
    "count": "binary",
    "blur": "box_49",
    "map_size": [16, 16],
    "share": 1.0,
    "unpainted": "keep",
    "outside": "refuse",
    "broken": "stop",
    "shard_size": 10,
    "workers": 0,
}
CLICKS = RECORDS | {
    "filters": {
        "catch_trial": 0.95,
        "mobile": "drop",
        "first_only": True,
        "min_clicks": 2,
        "max_clicks": 75,
        "beyond": "trim",
        "colouring_in": None,
        "min_players": 2,
    }
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """Sixteen painted training scenes and eight to test on; not to be changed."""
    folder = tmp_path_factory.mktemp("clickme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = {"make_painted_scenes": {"tiny": SCENES}}
        Path("params.yaml").write_text(json.dumps(rows))
        make_painted_scenes.main("tiny", folder / "scenes")
    return folder / "scenes"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_row(row: dict, **changes) -> None:
    tree = {"threads": 1, "prepare_clickme": {"set": copy.deepcopy(row) | changes}}
    Path("params.yaml").write_text(json.dumps(tree))


def prepare(
    images: Path, clicks: Path, row: dict, *, out: str = "out", **changes
) -> tuple[Shards, dict]:
    """The shards and the report."""
    write_row(row, **changes)
    prepare_clickme.main("set", images, clicks, Path(out), Path(f"{out}.json"))
    assert not [*check(Path(out))]
    return Shards(Path(out)), json.loads(Path(f"{out}.json").read_text())


def from_records(scenes: Path, **changes) -> tuple[Shards, dict]:
    images, clicks = scenes / "imagenet/train", scenes / "clickme1/train"
    return prepare(images, clicks, RECORDS, **changes)


def from_clicks(scenes: Path, *, file: str = "test.csv", **changes) -> tuple[Shards, dict]:
    return prepare(scenes / "imagenet/test", scenes / "clickme2" / file, CLICKS, **changes)


def test_records_become_shards_with_classes_and_maps(scenes):
    shards, report = from_records(scenes)
    assert len(shards) == 16 and shards.classes == CLASSES
    assert shards.labels.tolist() == [k % 4 for k in range(16)]
    kinds = [each["source"] for each in shards]
    assert set(kinds) == {"tfrecord", "nobody"}
    assert report["images"] == {
        "with_map": kinds.count("tfrecord"),
        "withheld": 0,
        "without_map": kinds.count("nobody"),
        "skipped": 0,
    }
    by = shards.index["maps_by"]
    assert by["kind"] == "players" and by["form"] == "tfrecord" and by["blur"] == "box_49"
    for each in shards:
        assert each["map"].shape == (16, 16) and not len(each["points"])
        assert bool(each["map"].any()) == (each["source"] != "nobody")


def test_records_alone_have_numbers_for_classes(scenes):
    clicks = scenes / "clickme1/train"
    shards, _ = prepare(clicks, clicks, RECORDS)
    assert shards.classes == ["0", "1", "2", "3"] and len(shards) == 16


def test_clicks_become_maps_by_the_filters_the_mean_and_the_blur(scenes):
    shards, report = from_clicks(scenes)
    assert len(shards) == 8 and shards.classes == CLASSES
    rows = list(read_csv(scenes / "clickme2/test.csv"))
    for each in shards:
        seen, kept = set(), []
        for row in rows:
            if row.image != f"test/{each['name']}" or row.catch_trial < 0.95 or row.is_mobile:
                continue
            if row.player not in seen and len(row.clicks) >= 2:
                kept.append(row)
            seen.add(row.player)
        if len(kept) < 2:
            assert each["source"] == "nobody"
            continue
        points = np.concatenate([row.clicks[:, ::-1] for row in kept]).astype(int)
        players = np.repeat(np.arange(len(kept)), [len(row.clicks) for row in kept])
        assert np.array_equal(each["points"], points)
        assert len(np.unique(each["observers"])) == len(kept)
        expected = blur(mean_map(points, players, size=(32, 32), count="binary"), "box_49")
        expected = resize_map(expected, 16, 16)
        assert np.abs(each["map"] - expected / expected.max()).max() < 1e-4
    read, out = report["read"], report["left_out"]
    lost = ("catch_trial", "mobile", "repeated", "few_clicks", "few_players")
    assert read["submissions_read"] == len(rows)
    assert read["submissions_used"] == len(rows) - sum(out[key] for key in lost)
    assert out["catch_trial"] == sum(row.catch_trial < 0.95 for row in rows) > 0
    assert out["mobile"] == sum(row.is_mobile and row.catch_trial >= 0.95 for row in rows)


def test_a_player_has_one_number_in_all_images(scenes):
    shards, _ = from_clicks(scenes)
    rows = list(read_csv(scenes / "clickme2/test.csv"))
    of_number: dict[int, set[str]] = {}
    for each in shards:
        for number in np.unique(each["observers"]).tolist():
            points = each["points"][each["observers"] == number]
            (player,) = {
                row.player
                for row in rows
                if row.image == f"test/{each['name']}"
                and np.array_equal(row.clicks[:, ::-1], points)
            }
            of_number.setdefault(number, set()).add(player)
    assert len(of_number) > 2 and all(len(players) == 1 for players in of_number.values())


def test_csv_and_npz_give_the_same_shards_but_for_their_source(scenes):
    table, _ = from_clicks(scenes)
    columns, _ = from_clicks(scenes, file="test.npz", out="columns")
    for a, b in zip(table, columns):
        assert np.array_equal(a["points"], b["points"])
        assert np.array_equal(a["map"], b["map"]) and a["key"] == b["key"]


def test_a_second_run_is_byte_identical_whatever_the_workers(scenes):
    from_clicks(scenes, out="first")
    from_clicks(scenes, out="second")
    from_clicks(scenes, out="beside", workers=2)
    assert Path("first.json").read_bytes() == Path("beside.json").read_bytes()
    for path in Path("first").iterdir():
        for other in ("second", "beside"):
            assert path.read_bytes() == Path(other, path.name).read_bytes()


def test_the_maps_of_a_share_are_used_and_the_other_images_stay(scenes):
    shards, report = from_clicks(scenes, share=0.4)
    whole, _ = from_clicks(scenes, out="whole")
    assert len(shards) == 8 and report["images"]["withheld"] > 0
    for some, all_of_it in zip(shards, whole):
        assert some["image"] == all_of_it["image"]
        if some["source"] != "nobody":
            assert np.array_equal(some["map"], all_of_it["map"])


def test_images_that_nobody_painted_on_are_dropped_and_counted(scenes):
    shards, report = from_records(scenes, unpainted="drop")
    assert len(shards) == report["images"]["with_map"] == 16 - report["images"]["without_map"]
    assert report["images"]["without_map"] > 0


def test_who_colours_in_is_left_out_by_the_masks_of_the_objects(scenes):
    filters = CLICKS["filters"] | {
        "colouring_in": {"objects": str(scenes / "objects/test"), "iou": 0.7}
    }
    _, report = from_clicks(scenes, filters=filters)
    assert report["left_out"]["colouring_in"] > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blur": "gauss"}, "prepare_clickme.set.blur"),
        ({"share": 1.5}, "prepare_clickme.set.share"),
        ({"classes": 5}, "4 class folders found, 5 declared"),
        ({"filters": CLICKS["filters"]}, "holds maps (tfrecord), and filters are of players'"),
    ],
)
def test_a_row_that_does_not_fit_ends_in_one_line_and_leaves_nothing(
    scenes, fail, changes, message
):
    write_row(RECORDS, **changes)
    images, clicks = scenes / "imagenet/train", scenes / "clickme1/train"
    said = fail(prepare_clickme, "set", images, clicks, "out", "out.json")
    assert message in said
    assert not Path("out").exists() and not Path("out.json").exists()


def test_a_record_that_is_cut_off_ends_in_one_line_with_its_place(scenes, fail):
    write_row(RECORDS)
    (path,) = (scenes / "clickme1/train").iterdir()
    Path("cut.tfrecords").write_bytes(path.read_bytes()[:-9])
    said = fail(prepare_clickme, "set", "cut.tfrecords", "cut.tfrecords", "out", "out.json")
    assert "cut.tfrecords: the record at byte" in said and "is cut off" in said
    assert not Path("out").exists()


def test_an_image_is_read_as_it_was_written(scenes):
    shards, _ = from_clicks(scenes)
    for each in shards:
        data = (scenes / "imagenet/test" / each["name"]).read_bytes()
        assert each["image"] == data and cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR
        ).shape == (32, 32, 3)
