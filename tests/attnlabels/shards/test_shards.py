import json
import pickle
import tarfile
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from webdataset.tariterators import group_by_keys, tar_file_expander

from attnlabels.shards.index import read_index
from attnlabels.shards.shards import (
    Sample,
    Shards,
    decode_map,
    encode_map,
    verify,
    write_index,
    write_shard,
    write_shards,
)

TEACHER = {"kind": "teacher", "checkpoint": "abc"}


def a_sample(i: int, **changes) -> Sample:
    rng = np.random.default_rng(i)
    pixels = rng.integers(0, 256, (12, 16, 3), np.uint8)
    sample = Sample(
        key=f"image_{i}",
        image=cv2.imencode(".jpg" if i % 2 else ".png", pixels)[1].tobytes(),
        map=rng.random((6, 8), np.float32),
        points=rng.integers(0, (12, 16), (5 + i, 2)),
        observers=rng.integers(1, 99, 5 + i),
        label=i % 3,
        grid=(12, 16),
        image_size=(12, 16),
        source="made by the test",
        name=f"image {i}.jpg",
    )
    return sample | changes


def write(folder: Path, samples: list[Sample], **options) -> Path:
    options = {"maximum_count": 2, "maps_by": TEACHER, "classes": ["a", "b", "c"]} | options
    write_shards(folder, samples, **options)
    return folder


@pytest.fixture
def five(tmp_path) -> Path:
    return write(tmp_path / "five", [a_sample(i) for i in range(5)])


def test_what_was_written_is_read_in_any_order(five):
    shards = Shards(five)
    assert len(shards) == 5 and shards.classes == ["a", "b", "c"]
    assert shards.labels.dtype == np.int32 and shards.labels.tolist() == [0, 1, 2, 0, 1]
    for i in (3, 0, 4, 2, 1):
        read, written = shards[i], a_sample(i)
        assert read["points"].dtype == read["observers"].dtype == np.int16
        assert np.array_equal(read["points"], written["points"])
        assert np.array_equal(read["observers"], written["observers"])
        for field in ("key", "image", "label", "grid", "image_size", "source", "name"):
            assert read[field] == written[field]


def test_map_is_read_scaled_to_a_largest_value_of_one(five):
    read, written = Shards(five)[1]["map"], a_sample(1)["map"]
    assert read.dtype == np.float32 and read.max() == 1
    assert np.abs(read - written / written.max()).max() < 0.51 / 65535


def test_teachers_sample_has_no_observers_and_may_have_no_points(tmp_path):
    sample = a_sample(0, observers=None, points=np.zeros((0, 2), int), label=-1)
    read = Shards(write(tmp_path / "s", [sample], classes=[]))[0]
    assert read["observers"] is None and read["points"].shape == (0, 2) and read["label"] == -1


def test_points_stored_by_columns_are_read_by_rows(tmp_path):
    points = np.asfortranarray(a_sample(0)["points"])
    read = Shards(write(tmp_path / "s", [a_sample(0, points=points)]))[0]["points"]
    assert np.array_equal(read, points)


def test_second_write_is_byte_identical(tmp_path, five):
    again = write(tmp_path / "again", [a_sample(i) for i in range(5)])
    names = sorted(path.name for path in five.iterdir())
    assert names == [
        "index.json",
        "samples.npy",
        "shard-000000.tar",
        "shard-000001.tar",
        "shard-000002.tar",
    ]
    for name in names:
        assert (five / name).read_bytes() == (again / name).read_bytes(), name


def test_shards_made_alone_in_any_order_are_those_of_one_write(tmp_path, five):
    shards = {}
    for number in (2, 0, 1):
        name = f"shard-{number:06d}.tar"
        group = (a_sample(i) for i in range(5) if i // 2 == number)
        shards[name] = write_shard(tmp_path / name, group, n_classes=3)
    write_index(tmp_path, dict(sorted(shards.items())), maps_by=TEACHER, classes=["a", "b", "c"])
    for path in five.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_the_names_of_shards_may_have_gaps(tmp_path):
    names = ["shard-000001.tar", "shard-000007.tar"]
    shards = {
        name: write_shard(tmp_path / name, [a_sample(i)], n_classes=3)
        for i, name in enumerate(names)
    }
    write_index(tmp_path, shards, maps_by=TEACHER, classes=["a", "b", "c"])
    verify(tmp_path)
    assert [Shards(tmp_path)[i]["key"] for i in range(2)] == ["image_0", "image_1"]


def test_members_lie_in_the_documented_order(five):
    with tarfile.open(five / "shard-000000.tar") as tar:
        assert tar.getnames() == [
            f"image_{i}.{suffix}"
            for i, image in enumerate(["png", "jpg"])
            for suffix in (image, "map.png", "points.npy", "observers.npy", "json")
        ]


def test_webdataset_reads_the_shards(five):
    with ExitStack() as stack:  # WebDataset itself would leave the files open
        files = [stack.enter_context(path.open("rb")) for path in sorted(five.glob("*.tar"))]
        sources = [{"url": file.name, "stream": file} for file in files]
        samples = list(group_by_keys(tar_file_expander(sources)))
    assert [sample["__key__"] for sample in samples] == [f"image_{i}" for i in range(5)]
    assert samples[1]["jpg"] == a_sample(1)["image"]
    assert json.loads(samples[4]["json"])["label"] == 1
    assert decode_map(samples[0]["map.png"]).shape == (6, 8)


def test_a_pickled_copy_reads_the_same(five):
    shards = Shards(five)
    assert pickle.loads(pickle.dumps(shards))[4]["image"] == shards[4]["image"]


def test_index_holds_provenance_and_what_was_skipped(tmp_path):
    index = read_index(write(tmp_path / "s", [a_sample(0)], skipped=["broken.jpg"]))
    assert index["maps_by"] == TEACHER and index["skipped"] == ["broken.jpg"]
    assert index["samples"] == 1 and index["shards"][0]["count"] == 1


def test_verify_passes_what_was_written(five):
    verify(five)


def test_truncated_shard_is_refused_at_opening(five):
    path = five / "shard-000001.tar"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(ValueError, match=r"shard-000001\.tar has \d+ bytes.*says.*write the sh"):
        Shards(five)


def test_altered_byte_is_refused_by_verify_and_at_access(five):
    path = five / "shard-000000.tar"
    data = bytearray(path.read_bytes())
    data[700] ^= 1
    path.write_bytes(data)
    shards = Shards(five)  # the size is unchanged
    with pytest.raises(ValueError, match=r"shard-000000\.tar: sha256 .* not .*write the shards"):
        verify(five)
    with pytest.raises(ValueError, match=r"shard-000000\.tar: at byte 0 is not sample 0 .*write"):
        shards[0]
    assert shards[1]["key"] == "image_1"


def test_reordered_shard_is_refused_even_if_all_spans_are_of_one_length(tmp_path):
    twins = [a_sample(0, key="left"), a_sample(0, key="rite")]
    folder = write(tmp_path / "s", twins)
    path = folder / "shard-000000.tar"
    table = np.load(folder / "samples.npy")
    (start, middle), (length, other) = table["offset"], table["length"]
    assert start == 0 and length == other == middle
    data = path.read_bytes()
    path.write_bytes(data[middle : 2 * length] + data[:middle] + data[2 * length :])
    with pytest.raises(ValueError, match="at byte 0 is not sample 0"):
        Shards(folder)[0]
    with pytest.raises(ValueError, match="sha256"):
        verify(folder)


def test_missing_shard_is_named(five):
    (five / "shard-000002.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"shard-000002\.tar: in the index but not on"):
        read_index(five)


def test_folder_without_index_is_called_unfinished(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"index\.json: not here.*write the shards again"):
        Shards(tmp_path)


@pytest.mark.parametrize("text", ["[1]", '{"format": 2}'])
def test_index_of_another_format_is_refused(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index\.json: expected format 1"):
        read_index(tmp_path)


def test_broken_index_is_refused(tmp_path):
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(ValueError, match=r"index\.json is not JSON .*write the shards again"):
        read_index(tmp_path)


def test_table_of_another_write_is_refused(five, tmp_path):
    other = write(tmp_path / "o", [a_sample(i) for i in range(5)], maximum_count=3)
    (five / "samples.npy").write_bytes((other / "samples.npy").read_bytes())
    with pytest.raises(ValueError, match=r"samples\.npy: its shards hold other counts"):
        Shards(five)
    np.save(five / "samples.npy", np.load(other / "samples.npy")[:4])
    with pytest.raises(ValueError, match=r"samples\.npy: not the table of its 5 samples"):
        Shards(five)
    (five / "samples.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"samples\.npy: not here; write"):
        Shards(five)


def nan_map() -> np.ndarray:
    map = np.ones((4, 4))
    map[1, 2] = np.nan
    return map


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"map": nan_map()}, "image_0: map runs from nan to nan; expected finite"),
        ({"map": np.zeros((4, 4))}, "image_0: map runs from 0.0 to 0.0; .* not all 0"),
        ({"map": np.linspace(-1, 1, 16).reshape(4, 4)}, "image_0: map runs from -1.0 to 1.0"),
        (
            {"points": np.array([[3, 16]]), "observers": None},
            r"image_0: point \(row 3, col 16\) is outside the grid 12 x 16; .*counted from 0",
        ),
        ({"points": np.array([[-1, 0]]), "observers": None}, "row -1, col 0"),
        ({"points": np.array([[0.5, 1.0]]), "observers": None}, "image_0: points are float64"),
        ({"points": np.zeros(4, int)}, r"points are int64 \(4,\), expected int \[n, 2\]"),
        ({"observers": np.zeros(4, int)}, r"image_0: \(4,\) observers for 5 points; one each"),
        ({"observers": np.full(5, 70_000)}, "image_0: an observer beyond 32767"),
        ({"grid": (12, 40_000)}, r"image_0: grid \(12, 40000\); expected 1 to 32767"),
        ({"image": b"%PDF-1.7"}, "image_0: the image is none of jpg, png, webp"),
        ({"label": 3}, "image_0: label 3 of 3 classes"),
        ({"label": -2}, "image_0: label -2"),
        ({"key": "a.b"}, "key 'a.b': expected 1 to 80 letters"),
    ],
)
def test_writer_refuses(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "s", [a_sample(0, **changes)])
    assert not (tmp_path / "s" / "index.json").exists()


def test_doubled_key_is_refused(tmp_path):
    with pytest.raises(ValueError, match="key 'image_0' is already in .*keys are unique"):
        write(tmp_path / "s", [a_sample(0), a_sample(1), a_sample(0)])


def test_empty_set_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no sample was written"):
        write(tmp_path / "s", [])


def test_maps_by_nobody_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a kind of human, teacher, "):
        write(tmp_path / "s", [], maps_by={"kind": "cat"})
    with pytest.raises(ValueError, match="0 samples to a shard"):
        write(tmp_path / "s", [], maximum_count=0)


def test_map_code_is_its_own_inverse_on_what_it_wrote():
    png = encode_map(np.arange(12.0).reshape(3, 4))
    assert encode_map(decode_map(png)) == png


@pytest.mark.parametrize(
    "png", [b"", b"no picture", cv2.imencode(".png", np.zeros((3, 4), np.uint8))[1].tobytes()]
)
def test_what_is_no_map_is_refused(png):
    with pytest.raises(ValueError, match=r"^map\.png is no whole 16-bit grey PNG$"):
        decode_map(png)


def unpainted(i: int, **changes) -> Sample:
    nothing = {"map": np.zeros((6, 8), np.float32), "points": np.zeros((0, 2), int)}
    return a_sample(i, observers=None, source="nobody", **nothing) | changes


def test_an_image_that_nobody_painted_on_is_kept_with_a_map_of_zeros(tmp_path):
    players = {"kind": "players"}
    shards = Shards(write(tmp_path / "s", [a_sample(0), unpainted(1)], maps_by=players))
    assert shards[0]["map"].max() == 1
    assert shards[1]["map"].shape == (6, 8) and not shards[1]["map"].any()
    assert shards[1]["points"].shape == (0, 2) and shards[1]["source"] == "nobody"


@pytest.mark.parametrize(
    "changes", [{"map": np.eye(4)}, {"points": np.ones((1, 2), int)}, {"source": "a player"}]
)
def test_a_map_or_points_of_nobodys_and_no_map_of_somebodys_are_refused(tmp_path, changes):
    with pytest.raises(ValueError, match="image_0: (a map or points of source|map runs from 0)"):
        write(tmp_path / "s", [unpainted(0, **changes)], maps_by={"kind": "players"})
