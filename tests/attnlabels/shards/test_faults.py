"""Every kind of fault is made in a whole folder of shards, and found with its place."""

import io
import json
import os
import pickle
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from attnlabels.shards.faults import check
from attnlabels.shards.index import SAMPLE
from attnlabels.shards.shards import (
    Sample,
    Shard,
    sha256_of,
    write_index,
    write_shards,
)

FIRST, SECOND = "shard-000000.tar", "shard-000001.tar"
Members = dict[str, bytes]


def a_sample(i: int, **changes: Any) -> Sample:
    rng = np.random.default_rng(i)
    pixels = rng.integers(0, 256, (12, 16, 3), np.uint8)
    sample = Sample(
        key=f"image_{i}",
        image=cv2.imencode(".png", pixels)[1].tobytes(),
        map=rng.random((6, 8), np.float32),
        points=np.array([[1, 2], [3, 4], [5, i]]),
        observers=None,
        label=i % 3,
        grid=(6, 8),
        image_size=(12, 16),
        source="made by the test",
        name=f"image {i}.png",
    )
    return sample | changes


def write(folder: Path, *samples: Sample, **options: Any) -> Path:
    options = {"maps_by": {"kind": "teacher"}, "classes": ["a", "b", "c"]} | options
    write_shards(folder, samples, maximum_count=2, **options)
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three whole samples in two shards."""
    return write(tmp_path / "shards", *(a_sample(i) for i in range(3)))


def faults(folder: Path) -> list[str]:
    return [f"{fault.place}: {fault.what}" for fault in check(folder)]


def reindexed(folder: Path, **changes: Any) -> None:
    path = folder / "index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewritten(shards: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """The first shard written anew with other members, and an index and table that agree."""
    with tarfile.open(shards / FIRST) as tar:
        members = [(each, tar.extractfile(each).read()) for each in tar]
    change(members)
    with tarfile.open(shards / FIRST, "w", format=tarfile.USTAR_FORMAT) as tar:
        for about, data in members:
            about.size = len(data) if about.isreg() else 0
            tar.addfile(about, io.BytesIO(data))
    table, rows = np.load(shards / "samples.npy"), []
    data = (shards / FIRST).read_bytes()
    with tarfile.open(shards / FIRST) as tar:
        keys: dict[str, list[tarfile.TarInfo]] = {}
        for each in tar:
            keys.setdefault(each.name.partition(".")[0], []).append(each)
    for i, run in enumerate(keys.values()):
        start, stop = run[0].offset, run[-1].offset_data + -(-run[-1].size // 512) * 512
        label = table["label"][min(i, 1)]
        rows.append((0, start, stop - start, label, zlib.crc32(data[start:stop])))
    own = np.array(rows, SAMPLE)
    others = Shard(
        (shards / SECOND).stat().st_size, sha256_of(shards / SECOND), table[table["shard"] == 1]
    )
    first = Shard(len(data), sha256_of(shards / FIRST), own)
    write_index(
        shards,
        {FIRST: first, SECOND: others},
        maps_by={"kind": "teacher"},
        classes=["a", "b", "c"],
    )


def replaced(name: str, data: bytes) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    """Another content of one member of the first sample."""

    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        (i,) = (i for i, (about, _) in enumerate(members) if about.name == f"image_0.{name}")
        members[i] = members[i][0], data

    return change


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def lying(header: str) -> bytes:
    """An .npy that is a header alone."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()


def png(map: np.ndarray) -> bytes:
    return cv2.imencode(".png", map)[1].tobytes()


def about(**changes: Any) -> bytes:
    whole = {"label": 0, "grid": [6, 8], "image": [12, 16], "source": "s", "name": "n"}
    return json.dumps(whole | changes).encode()


def test_whole_shards_have_no_fault(shards, tmp_path):
    assert faults(shards) == []
    people = [a_sample(0, observers=np.array([1, 1, 2])), a_sample(1, points=np.zeros((0, 2), int))]
    assert faults(write(tmp_path / "people", *people, maps_by={"kind": "human"})) == []


def test_shards_written_anew_by_the_test_have_no_fault(shards):
    rewritten(shards, lambda members: None)
    assert faults(shards) == []


def test_a_place_without_shards_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder"):
        next(check(tmp_path / "nowhere"))
    assert faults(tmp_path) == ["index.json: missing: the shards were not finished"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "format None where 1 is read"),
        (
            '{"format": 2}',
            "format 2 where 1 is read: of another version of attnlabels, or not of it",
        ),
        ('{"format": 1}', "maps_by is missing or of another type"),
    ],
)
def test_an_index_that_is_none_or_of_another_version(shards, text, what):
    (shards / "index.json").write_text(text)
    assert faults(shards)[0].startswith(f"index.json: {what}")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"samples": 4}, ["index.json: samples is 4, its shards hold 3"]),
        (
            {"maps_by": {"kind": "cat"}},
            ["index.json: maps_by.kind is 'cat'; expected human, teacher"],
        ),
        ({"skipped": [1]}, ["index.json: skipped holds other things than names"]),
        ({"classes": ["a", "b"]}, [f"{SECOND}: image_2: label 2 of 2 classes"]),
        ({"shards": [3]}, ["index.json: shards.0 is missing or of another type"]),
    ],
)
def test_an_index_that_is_wrong(shards, changes, expected):
    reindexed(shards, **changes)
    found = faults(shards)
    assert len(found) == len(expected)
    assert all(each.startswith(what) for each, what in zip(found, expected))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (
            "count",
            1,
            [
                "index.json: samples is 3, its shards hold 2",
                f"samples.npy: 2 rows of {FIRST}, of which index.json has 1",
                f"{FIRST}: 2 samples, its index says 1",
            ],
        ),
        ("bytes", 5, [f"{FIRST}: 10240 bytes, its index says 5"]),
        ("sha256", "0", [f"{FIRST}: sha256 "]),
        ("name", "gone.tar", ["gone.tar: missing", f"{FIRST}: not in index.json"]),
        (
            "name",
            "a/b.tar",
            [
                "index.json: shard 'a/b.tar' leads out of the folder; not opened",
                f"{FIRST}: not in index.json",
            ],
        ),
    ],
)
def test_an_index_that_is_wrong_about_a_shard(shards, field, value, expected):
    index = json.loads((shards / "index.json").read_text())
    index["shards"][0][field] = value
    reindexed(shards, shards=index["shards"])
    found = faults(shards)
    assert len(found) == len(expected)
    assert all(each.startswith(what) for each, what in zip(found, expected)), found


def test_a_changed_byte_is_found_with_its_sample(shards):
    data = bytearray((shards / FIRST).read_bytes())
    place = data.index(b"image 1.png")
    data[place] ^= 1
    (shards / FIRST).write_bytes(data)
    digest, *rest = faults(shards)
    assert digest.startswith(f"{FIRST}: sha256 ")
    assert rest == [f"{FIRST}: image_1: the checksum in samples.npy is of other bytes"]


@pytest.mark.parametrize(
    ("kept", "last"),
    [
        (7000, "cut short, or no tar, after 1 samples"),
        (None, "1 samples, its index says 2"),
        (0, "cut short, or no tar, after 0 samples"),
    ],
)
def test_a_shard_that_was_cut(shards, kept, last):
    data = (shards / FIRST).read_bytes()
    kept = int(np.load(shards / "samples.npy")["length"][0]) if kept is None else kept
    (shards / FIRST).write_bytes(data[:kept])
    size, *_, end = faults(shards)
    assert size == f"{FIRST}: {kept} bytes, its index says {len(data)}"
    assert end.startswith(f"{FIRST}: {last}")


def test_a_table_that_is_missing_a_pickle_or_another(shards):
    path = shards / "samples.npy"
    table = np.load(path)
    path.unlink()
    assert faults(shards)[0].startswith("samples.npy: not the table of samples")
    path.write_bytes(pickle.dumps(table))
    assert "not the table of samples" in faults(shards)[0]
    path.write_bytes(npy(np.zeros(3)))
    assert faults(shards) == ["samples.npy: not the table of samples: its columns are others"]
    table["shard"][2] = 7
    path.write_bytes(npy(table))
    assert faults(shards) == [
        f"samples.npy: 0 rows of {SECOND}, of which index.json has 1",
        "samples.npy: 1 rows of shards that there are not",
    ]


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("offset", 512, "in samples.npy 512 to"),
        ("length", 512, "in samples.npy 0 to 512"),
        ("crc", 1, "the checksum in samples.npy is of other bytes"),
        ("label", 2, "label 0, in samples.npy 2"),
    ],
)
def test_a_table_that_is_wrong_about_a_sample(shards, column, value, what):
    table = np.load(shards / "samples.npy")
    table[column][0] = value
    (shards / "samples.npy").write_bytes(npy(table))
    (fault,) = faults(shards)
    assert fault.startswith(f"{FIRST}: image_0: ") and what in fault


GREY = np.arange(48, dtype=np.uint16).reshape(6, 8) + 65_535 - 47


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("map.png", b"no picture", "map.png is no PNG of at most"),
        ("map.png", png(GREY)[:60], "map.png is no whole 16-bit grey PNG"),
        ("map.png", png(np.zeros((6, 8), np.uint8)), "map.png is no whole 16-bit grey PNG"),
        ("map.png", png(np.zeros((6, 8, 3), np.uint16)), "map.png is no whole 16-bit grey PNG"),
        ("map.png", png(GREY // 2), "the map's largest value is 32767; expected 65535"),
        ("map.png", png(np.full((6, 8), 65_535, np.uint16)), "the map is the same everywhere"),
        (
            "map.png",
            b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\1\0\0" * 2,
            "map.png is no PNG of at most",
        ),
        (
            "points.npy",
            npy(np.array([[5, 8]], np.int16)),
            "1 points outside the grid 6 x 8, (5, 8) fi",
        ),
        ("points.npy", npy(np.array([[-1, 0]], np.int16)), "outside the grid 6 x 8, (-1, 0) first"),
        ("points.npy", npy(np.zeros((0, 2), np.int16)), "no points"),
        ("points.npy", npy(np.zeros((2, 2), np.int16)), "a pseudo fixation is there twice"),
        ("points.npy", npy(np.zeros((2, 3), np.int16)), "points are [2, 3]; expected [n, 2]"),
        ("points.npy", npy(np.zeros((2, 2))), "points.npy is not int16"),
        ("points.npy", npy(np.array([[{}, 1]], object)), "points.npy is not readable"),
        ("points.npy", b"", "points.npy is not readable"),
        ("points.npy", lying("{'descr': ("), "points.npy is not readable"),
        (
            "points.npy",
            lying("{'descr': '<i2', 'fortran_order': False, 'shape': (1 << 60, 2)}"),
            "points.npy is not readable",
        ),
        (
            "points.npy",
            lying(f"{{'descr': '<i2', 'fortran_order': False, 'shape': ({1 << 55},)}}"),
            "points.npy is not readable",
        ),
        ("json", b"{", "json is not JSON"),
        ("json", b"[]", "json: label is 'None'"),
        ("json", about(grid=[6]), "json: grid is '[6]'"),
        ("json", about(grid=[6, 4]), "points outside the grid 6 x 4"),
        ("json", about(label=1), "label 1, in samples.npy 0"),
        ("json", about(image=[16, 12]), "the image is 12 x 16, its json says 16 x 12"),
        ("png", b"no picture", "the image is not readable"),
    ],
)
def test_a_sample_that_is_wrong_though_the_checksums_agree(shards, name, data, what):
    rewritten(shards, replaced(name, data))
    (fault,) = faults(shards)
    assert fault.startswith(f"{FIRST}: image_0: ") and what in fault


def test_observers_that_do_not_fit_the_points(tmp_path):
    folder = write(tmp_path / "s", a_sample(0), a_sample(1), a_sample(2))

    def add(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members.append((tarfile.TarInfo("image_1.observers.npy"), npy(np.zeros(2, np.int16))))

    rewritten(folder, add)
    assert faults(folder) == [f"{FIRST}: image_1: [2] observers for 3 points"]


def test_members_that_are_unknown_missing_or_there_twice(shards):
    def change(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        members.insert(1, members[0])
        members.insert(0, (tarfile.TarInfo("image_0.exe"), b""))
        members.pop()  # the json of image_1

    rewritten(shards, change)
    assert faults(shards) == [
        f"{FIRST}: image_0: has a member twice",
        f"{FIRST}: image_0: has exe, which no sample has",
        f"{FIRST}: image_1: has no json",
    ]


def test_a_key_that_is_there_twice_in_a_folder(tmp_path):
    folder = write(tmp_path / "s", a_sample(0), a_sample(1), a_sample(2))

    def rename(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        for each, _ in members:
            each.name = each.name.replace("image_1", "image_2")

    rewritten(folder, rename)
    assert faults(folder) == [f"{SECOND}: image_2: the key is there twice"]


def a_link(name: str, to: str) -> tarfile.TarInfo:
    link = tarfile.TarInfo(name)
    link.type, link.linkname = tarfile.SYMTYPE, to
    return link


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (a_link("image_0.txt", "key"), "image_0.txt is a link or a device, no plain file"),
        (tarfile.TarInfo("/image_0.txt"), "/image_0.txt leads out of the folder"),
        (tarfile.TarInfo("b" * 90 + ".txt"), "the key is not 1 to 80 letters"),
    ],
)
def test_a_member_that_nobody_should_unpack(shards, member, what):
    rewritten(shards, lambda members: members.insert(0, (member, b"")))
    assert any(what in each and each.startswith(FIRST) for each in faults(shards)), faults(shards)
    assert not any("image_1" in each for each in faults(shards))


def test_names_that_are_no_text_are_shown_as_one(shards):
    name = os.fsdecode(b"caf\xe9\x1b[2J.txt")
    rewritten(shards, lambda members: members.insert(0, (tarfile.TarInfo(name), b"")))
    first, *_ = faults(shards)
    assert first.startswith(rf"{FIRST}: caf\udce9\x1b[2J: the key is not") and first.isprintable()


def test_a_member_of_less_than_no_bytes_ends_the_shard_and_the_next_is_looked_at(shards):
    data = bytearray((shards / FIRST).read_bytes())
    with tarfile.open(shards / FIRST) as tar:
        start = tar.getmembers()[1].offset
    header = data[start : start + 512]
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"  # -512
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    data[start : start + 512] = header
    (shards / FIRST).write_bytes(data)
    (shards / SECOND).unlink()
    _, cut, missing = faults(shards)
    assert cut == f"{FIRST}: cut short, or no tar, after 0 samples (a member of -512 bytes)"
    assert missing == f"{SECOND}: missing"


def test_a_header_that_tarfile_stumbles_over_ends_the_shard(shards):
    with tarfile.open(shards / FIRST, "w", format=tarfile.PAX_FORMAT) as tar:
        odd = tarfile.TarInfo("image_0.json")
        odd.pax_headers = {"GNU.sparse.map": "abc"}
        tar.addfile(odd)
    assert any(f"{FIRST}: cut short, or no tar, after 0 sam" in each for each in faults(shards))


def test_an_extended_header_is_a_fault_as_the_reader_takes_none(shards):
    with tarfile.open(shards / FIRST, "w", format=tarfile.PAX_FORMAT) as tar:
        long = tarfile.TarInfo("image_0." + "x" * 120)
        tar.addfile(long)
    assert any("has an extended header, which is not read" in each for each in faults(shards))


def test_a_tar_that_is_not_in_the_index_is_named(shards):
    (shards / "shard-000009.tar").write_bytes(bytes(1024))
    assert faults(shards) == [
        "shard-000009.tar: not in index.json: of another writing, or half of this one"
    ]


def test_a_sample_of_nobodys_has_neither_map_nor_points(tmp_path: Path):
    nothing = {"map": np.zeros((6, 8)), "points": np.zeros((0, 2), int), "source": "nobody"}
    painted = a_sample(0, points=np.array([[1, 2], [1, 2]]))  # a player may click twice
    folder = write(tmp_path / "s", painted, a_sample(1, **nothing), maps_by={"kind": "players"})
    assert not faults(folder)


def test_what_a_sample_of_nobodys_holds_all_the_same_is_a_fault(shards: Path):
    about = {"label": 0, "grid": [6, 8], "image": [12, 16], "source": "nobody", "name": "a"}
    rewritten(shards, replaced("json", json.dumps(about).encode()))
    found = faults(shards)
    assert f"{FIRST}: image_0: the map's largest value is 65535; expected 0" in found
    assert f"{FIRST}: image_0: 3 points of nobody's" in found
