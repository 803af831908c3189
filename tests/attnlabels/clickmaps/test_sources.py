"""Images with clicks, maps and records on them, right and with one thing wrong."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest

from attnlabels.clickmaps.filters import ColouringIn, Filters
from attnlabels.clickmaps.reading import read_painted, summary
from attnlabels.clickmaps.samples import Maps, as_samples, draw_all
from attnlabels.clickmaps.sources import Manner
from attnlabels.clickmaps.tfrecord import encode_example, write_records

SIZE = (20, 30)
NAMES = ["a/1.png", "a/2.png", "b/3.png"]
FILTERS = Filters(
    catch_trial=None,
    mobile="keep",
    first_only=True,
    min_clicks=None,
    max_clicks=None,
    beyond="trim",
    colouring_in=None,
    min_players=1,
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classes with three images."""
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(NAMES):
        Path("images", name).parent.mkdir(parents=True, exist_ok=True)
        Path("images", name).write_bytes(an_image(k))


def an_image(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


def write_csv(*rows: tuple[str, str, str]) -> Path:
    text = "".join(f'{name},"{clicks}",{player}\n' for name, clicks, player in rows)
    Path("clicks.csv").write_text(f"image_path,clicks,user_id\n{text}")
    return Path("clicks.csv")


def read(
    clicks: Path | str,
    *,
    images: str = "images",
    n_classes: int = 2,
    workers: int = 0,
    as_made: bool = False,
    **changes: Any,
) -> tuple[list, dict, list]:
    """What was painted, or the samples made of it, the summary, and the names that were skipped."""
    filters = FILTERS if str(clicks).endswith("csv") else None
    manner: Any = {"broken": "stop", "outside": "refuse", "count": "binary", "filters": filters}
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    manner = Manner(**manner | changes)
    found = read_painted(
        Path(images), Path(clicks), counts, skipped, n_classes=n_classes, manner=manner
    )
    maps = Maps(blur="none", size=SIZE, share=1.0, source=found.form)
    drawn = draw_all(found.images, maps, workers=workers)
    made = as_samples(
        drawn, counts, skipped, unpainted="keep", broken=manner.broken, where=str(clicks)
    )
    samples = list(made)
    painted = [found.images[k].painted for k in range(len(found.images))]
    kept = [each for each in painted if each is not None]
    assert [each.name for each in kept] == [each["name"] for each in samples]
    return (samples if as_made else kept), summary(found.form, counts, skipped), skipped


ROWS = [
    ("val/a/1.png", "[(29, 3), (29, 3)]", "p"),
    ("b/3.png", "[(0, 19)]", "q"),
    ("a/1.png", "[(1, 2)]", "q"),
]


def test_clicks_are_brought_to_their_images_by_the_end_of_the_path():
    (first, second, third), told, _ = read(write_csv(*ROWS))
    assert [each.name for each in (first, second, third)] == NAMES
    assert [each.label for each in (first, second, third)] == [0, 0, 1]
    assert first.image == Path("images/a/1.png").read_bytes() and first.size == SIZE
    assert first.points.tolist() == [[3, 29], [3, 29], [2, 1]]
    assert first.players.tolist() == [0, 0, 1] and third.players.tolist() == [1]
    assert (first.map[3, 29], first.map[2, 1], first.map.sum()) == (0.5, 0.5, 1)
    assert second.map is None and not len(second.points)
    assert told["read"] == {
        "players_read": 2,
        "submissions_read": 3,
        "submissions_used": 3,
        "clicks_read": 4,
        "clicks_used": 4,
    }


def test_a_path_without_a_class_is_found_by_its_name_where_there_is_one_of_it():
    Path("images/b/2.png").write_bytes(an_image(7))  # now two of that name
    painted, _, _ = read(write_csv(("imagenet/val/3.png", "[(1, 2)]", "p")))
    assert [each.name for each in painted if each.map is not None] == ["b/3.png"]
    for name in ("imagenet/val/2.png", "val/a/3.png"):  # which of two, and one of another class
        with pytest.raises(FileNotFoundError, match=f"{name} is not in images"):
            read(write_csv((name, "[(1, 2)]", "p")))


def test_an_image_whose_map_is_flat_counts_as_broken_and_its_clicks_as_not_used():
    everywhere = [(x, y) for x in range(SIZE[1]) for y in range(SIZE[0])]
    path = write_csv(("a/1.png", str(everywhere), "p"), ROWS[1])
    with pytest.raises(ValueError, match="a/1.png: the map is the same everywhere; mend it, or"):
        read(path)
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    manner = Manner(broken="skip", outside="refuse", count="binary", filters=FILTERS)
    found = read_painted(Path("images"), path, counts, skipped, n_classes=2, manner=manner)
    drawn = draw_all(found.images, Maps(blur="none", size=SIZE, share=1.0, source="csv"), workers=0)
    made = as_samples(drawn, counts, skipped, unpainted="keep", broken="skip", where="clicks.csv")
    assert len(list(made)) == 2 and skipped == ["a/1.png"]
    told = summary(found.form, counts, skipped)
    assert told["left_out"]["of_broken_images"] == 1
    assert (told["read"]["submissions_used"], told["read"]["clicks_used"]) == (1, 1)


def test_two_spellings_of_an_image_are_one_image_to_a_filter():
    rows = [("a/1.png", "[(1, 1)]", "p"), ("x/a/1.png", "[(2, 2)]", "p")]
    (first, *_), told, _ = read(write_csv(*rows))
    assert first.points.tolist() == [[1, 1]] and told["left_out"]["repeated"] == 1


def test_a_click_outside_stops_or_is_dropped_or_clipped():
    path = write_csv(("a/1.png", "[(3, 4), (30, 4)]", "p"), ("b/3.png", "[(5, 20)]", "p"))
    with pytest.raises(
        ValueError, match=r"line 2: click 1 \(x 30, y 4\) is outside of a/1.png, 30 wide and 20"
    ):
        read(path)
    dropped, told, _ = read(path, outside="drop")
    assert dropped[0].points.tolist() == [[4, 3]] and dropped[2].map is None
    assert (told["left_out"]["clicks_dropped"], told["left_out"]["few_clicks"]) == (2, 1)
    clipped, told, _ = read(path, outside="clip")
    assert clipped[0].points.tolist() == [[4, 3], [4, 29]]
    assert told["left_out"]["clicks_clipped"] == 2


def test_of_too_few_clicks_is_who_has_them_outside():
    path = write_csv(
        ("a/1.png", "[(3, 4), (30, 4)]", "p"), ("b/3.png", "[(3, 4), (5, 6), (30, 4)]", "q")
    )
    found, told, _ = read(path, outside="drop", filters=replace(FILTERS, min_clicks=2))
    assert found[0].map is None and found[2].points.tolist() == [[4, 3], [6, 5]]
    assert (told["left_out"]["few_clicks"], told["read"]["submissions_used"]) == (1, 1)


def test_clicks_on_images_that_are_not_there_stop_or_are_skipped_and_named_once():
    path = write_csv(*ROWS, ("c/9.png", "[(1, 1)]", "p"), ("c/9.png", "[(1, 1)]", "q"))
    with pytest.raises(FileNotFoundError, match=r"line 5: c/9.png is not in images; put it there"):
        read(path)
    found, told, skipped = read(path, broken="skip")
    assert len(found) == 3 and skipped == ["c/9.png"] and told["left_out"]["not_there"] == 2


def test_an_image_that_is_damaged_stops_or_is_skipped():
    Path("images/a/2.png").write_bytes(an_image(1)[:-30])
    with pytest.raises(ValueError, match="a/2.png"):
        read(write_csv(*ROWS))
    found, told, skipped = read(write_csv(*ROWS), broken="skip")
    assert [each.name for each in found] == ["a/1.png", "b/3.png"]
    assert skipped == ["a/2.png"] and told["images"]["skipped"] == 1
    assert told["left_out"]["of_broken_images"] == 0


def test_submissions_of_an_image_that_is_skipped_are_counted():
    Path("images/b/3.png").write_bytes(an_image(1)[:-30])
    _, told, skipped = read(write_csv(*ROWS), broken="skip")
    assert skipped == ["b/3.png"] and told["left_out"]["of_broken_images"] == 1
    assert told["read"]["submissions_read"] == 3 == told["read"]["submissions_used"] + 1


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_find_the_same_and_fail_in_the_same_words(workers):
    rows = write_csv(*ROWS)
    alone, *told = read(rows, as_made=True)
    beside, *told_beside = read(rows, as_made=True, workers=workers)
    assert told == told_beside and told[0]["read"]["clicks_used"] == 4
    for a, b in zip(alone, beside, strict=True):
        assert a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
    Path("images/a/2.png").write_bytes(an_image(1)[:-30])
    with pytest.raises(ValueError, match=r"^images/a/2.png: .*`broken: skip`$"):
        read(rows, workers=workers)
    outside = write_csv(("a/1.png", "[(30, 4)]", "p"))
    with pytest.raises(ValueError, match=r"^clicks.csv: line 2: click 0"):
        read(outside, workers=workers)


def test_objects_are_read_where_who_colours_in_is_left_out():
    asked = Filters(**vars(FILTERS) | {"colouring_in": ColouringIn(objects="objects", iou=0.5)})
    path = write_csv(("a/1.png", "[(1, 1), (2, 1), (1, 2), (2, 2)]", "p"), ROWS[2])
    with pytest.raises(FileNotFoundError, match="objects/a/1.png: no mask of the object there"):
        read(path, filters=asked)
    Path("objects/a").mkdir(parents=True)
    mask = np.zeros(SIZE, np.uint8)
    mask[1:3, 1:3] = 255
    cv2.imwrite("objects/a/1.png", mask)
    (first, *_), told, _ = read(path, filters=asked)
    assert first.points.tolist() == [[2, 1]] and told["left_out"]["colouring_in"] == 1
    cv2.imwrite("objects/a/1.png", mask.T)
    with pytest.raises(ValueError, match="a mask of 30 x 20 of an image of 20 x 30"):
        read(path, filters=asked)


def write_maps(**maps: np.ndarray) -> Path:
    with h5py.File("maps.h5", "w") as file:
        for name, map in maps.items():
            file.create_group(f"clickmaps/{name}").create_dataset("clickmap", data=map)
    return Path("maps.h5")


def test_finished_maps_are_brought_to_their_images_by_names_without_separators():
    map = np.eye(*SIZE)
    (first, second, third), told, _ = read(write_maps(**{"a_1.png": map, "b-3.png": 0 * map}))
    assert np.array_equal(first.map, map) and second.map is None and third.map is None
    assert not len(first.points) and told.keys() == {"images"}


def test_finished_maps_of_another_size_or_of_no_image_are_refused():
    with pytest.raises(ValueError, match="a map of 30 x 20 on an image of 20 x 30; cut and resize"):
        read(write_maps(**{"a_1.png": np.eye(30, 20)}))
    path = write_maps(**{"a_1.png": np.eye(*SIZE), "z_1.png": np.eye(*SIZE)})
    with pytest.raises(FileNotFoundError, match=r"clickmaps/z_1.png: z_1.png is not in images"):
        read(path)
    assert read(path, broken="skip")[2] == ["z_1.png"]
    path = write_maps(**{"a_1.png": np.eye(*SIZE), "a-1.png": np.eye(*SIZE)})
    with pytest.raises(ValueError, match="a second map of a/1.png"):
        read(path)


def a_record(seed: int, *, label: int, painted: bool = True) -> bytes:
    heat = np.zeros(SIZE, np.uint8)
    heat[5:15, 5:15] = 255
    encoded = bytes(cv2.imencode(".png", heat)[1]) if painted else b""
    image = {"image": [an_image(seed)], "heatmap": [encoded]}
    return encode_example(image | {"label": np.array([label], np.int64)})


def write_two_files(*extra: bytes) -> Path:
    Path("records").mkdir(exist_ok=True)
    write_records(Path("records/b.tfrecords"), [a_record(2, label=1), *extra])
    records = [a_record(0, label=0), a_record(1, label=1, painted=False)]
    write_records(Path("records/a.tfrecords"), records)
    return Path("records")


@pytest.mark.parametrize("images", ["images", "records"])
def test_records_bring_their_images_in_the_order_of_their_files(images):
    found, told, _ = read(write_two_files(), images=images)
    assert [each.name for each in found] == [
        "a_tfrecords-0000000",
        "a_tfrecords-0000001",
        "b_tfrecords-0000000",
    ]
    assert [each.label for each in found] == [0, 1, 1]
    assert [each.image for each in found] == [an_image(k) for k in range(3)]
    assert [each.map is None for each in found] == [False, True, False]
    assert found[0].map.max() == 1 and found[0].size == SIZE and told.keys() == {"images"}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (a_record(3, label=7), "b.tfrecords: record 1: label 7; expected 0 to 1; mend it, or"),
        (encode_example({"heatmap": [b""]}), "record 1: no 'image'; it has heatmap"),
        (b"\xff\xff", "record 1: no Example of TensorFlow's"),
    ],
)
def test_a_record_that_is_none_stops_or_is_skipped_and_named(payload, message):
    path = write_two_files(payload)
    with pytest.raises(ValueError, match=message):
        read(path)
    found, told, skipped = read(path, broken="skip")
    assert len(found) == 3 and skipped == ["b_tfrecords-0000001"]
    assert told["images"]["skipped"] == 1


def test_a_damaged_record_is_named_once():
    path = write_two_files() / "b.tfrecords"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"^records/b.tfrecords: record 0 is damaged: .*skip"):
        read("records")


@pytest.mark.parametrize("damage", ["length", "cut"])
def test_a_file_whose_next_record_cannot_be_found_stops_or_ends_there_and_is_named(damage, caplog):
    caplog.set_level("INFO")
    path = write_two_files(a_record(4, label=0), a_record(5, label=0)) / "b.tfrecords"
    whole = path.read_bytes()
    first = 16 + len(a_record(2, label=1))  # bytes of a record: its payload and 16 more
    if damage == "length":
        path.write_bytes(whole[:first] + bytes([whole[first] ^ 1]) + whole[first + 1 :])
        said = f"b.tfrecords: the record at byte {first} is damaged"
    else:
        path.write_bytes(whole[: first + 40])
        said = f"b.tfrecords: the record at byte {first} is cut off"
    with pytest.raises(ValueError, match=f"{said}.*, or leave out the rest .* `broken: skip`"):
        read("records")
    found, told, skipped = read("records", broken="skip")
    assert [each.label for each in found] == [0, 1, 1] and skipped == ["b_tfrecords-0000001"]
    assert f"({path.stat().st_size - first:,} bytes are left out)" in caplog.text
    assert told["images"]["skipped"] == 1


def test_filters_belong_to_clicks_and_images_to_all_but_records():
    with pytest.raises(ValueError, match="holds players' clicks, and filters are null"):
        read(write_csv(*ROWS), filters=None)
    with pytest.raises(ValueError, match=r"holds maps \(tfrecord\), and filters are of players'"):
        read(write_two_files(), filters=FILTERS)
    with pytest.raises(ValueError, match="clicks.csv: csv brings no images; name their class"):
        read("clicks.csv", images="clicks.csv")
    with pytest.raises(ValueError, match="images: 2 class folders found, 3 declared"):
        read("clicks.csv", n_classes=3)


def test_clicks_are_of_one_file():
    Path("tables").mkdir()
    for name in ("a.csv", "b.csv"):
        write_csv(*ROWS).rename(f"tables/{name}")
    with pytest.raises(ValueError, match="tables: 2 files of csv; name the one that is meant"):
        read("tables", filters=FILTERS)
