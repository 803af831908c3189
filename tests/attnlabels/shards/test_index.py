"""A folder of shards with one thing wrong is refused in one line, whatever is wrong."""

import copy
import io
import json
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnlabels.shards.faults import check
from attnlabels.shards.index import read_index
from attnlabels.shards.shards import Sample, Shards, sha256_of, write_shards

Tree = dict[str, Any]
# A few right values, and what JSON may hold in place of any of them.
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.sampled_from([2**31, 2**63, -(2**63), 10**30, 0.5, float("nan"), "", "a", "..", "/etc"]),
    st.just([]),
    st.just({}),
    st.lists(st.one_of(st.integers(-2, 9), st.none(), st.just("x")), max_size=3),
    st.just({"kind": []}),
)

UP = ".."


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Three samples in two shards, of two classes; the middle one is of people."""
    rng = np.random.default_rng(0)
    samples = [
        Sample(
            key=f"image{i}",
            image=cv2.imencode(".png", rng.integers(0, 256, (6, 8, 3), np.uint8))[1].tobytes(),
            map=rng.random((3, 4), np.float32),
            points=np.array([[1, 2], [3, i]]),
            observers=np.array([1, 2]) if i == 1 else None,
            label=i - 1,
            grid=(6, 8),
            image_size=(6, 8),
            source="made by the test",
            name=f"{i}.png",
        )
        for i in range(3)
    ]
    folder = tmp_path_factory.mktemp("whole") / "shards"
    maps_by = {"kind": "teacher", "sha256": "0" * 64}
    write_shards(folder, samples, maximum_count=2, maps_by=maps_by, classes=["a", "b"])
    return folder


@pytest.fixture
def folder(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "shards"))


def read_all(folder: Path) -> None:
    """Read every sample, and look for every fault; errors may only be ours."""
    assert all(fault.what for fault in check(folder))
    try:
        shards = Shards(folder)
        for i in range(len(shards)):
            shards[i]
    except (ValueError, FileNotFoundError) as error:
        assert str(folder) in str(error) and "write the shards again" in str(error)
        assert "\n" not in str(error)


def places(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a tree of JSON something can be changed."""
    keys = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield (*above, key)
        yield from places(tree[key], (*above, key))


def changed(tree: Tree, place: tuple[Any, ...], value: Any, *, gone: bool) -> Tree:
    tree = copy.deepcopy(tree)
    node: Any = tree
    for key in place[:-1]:
        node = node[key]
    if gone:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return tree


@pytest.mark.parametrize(
    "place",
    [
        ("maps_by",),
        ("samples",),
        ("shards",),
        ("skipped",),
        ("classes",),
        ("shards", 0, "name"),
        ("shards", 1, "count"),
        ("shards", 1, "bytes"),
        ("shards", 0, "sha256"),
        ("maps_by", "kind"),
    ],
)
def test_an_index_of_which_a_part_is_missing_is_refused_by_name(folder, place):
    tree = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(changed(tree, place, None, gone=True)))
    part = ".".join(str(key) for key in place[:2])
    with pytest.raises(ValueError, match=rf"index\.json: {part} is .*; write the shards again"):
        read_index(folder)


@pytest.mark.parametrize("name", [f"{UP}/x.tar", "/x.tar", "a/x.tar", "", "x\0.tar"])
def test_an_index_that_leads_out_of_the_folder_is_refused(folder, name):
    tree = json.loads((folder / "index.json").read_text())
    tree["shards"][0]["name"] = name
    (folder / "index.json").write_text(json.dumps(tree))
    with pytest.raises(ValueError, match=r"index\.json: shard .* leads out of the folder"):
        read_index(folder)


@pytest.mark.parametrize(
    ("column", "value"),
    [("offset", -1), ("offset", 2**40), ("length", -1), ("length", 2**62), ("label", 2)],
)
def test_a_table_that_leads_out_of_a_shard_or_of_the_classes_is_refused(folder, column, value):
    table = np.load(folder / "samples.npy")
    table[column][1] = value
    np.save(folder / "samples.npy", table)
    with pytest.raises(ValueError, match=r"samples\.npy: sample 1 (is outside|has label 2 of 2)"):
        Shards(folder)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_odd_index_gives_another_error_than_ours(whole, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    tree = json.loads((folder / "index.json").read_text())
    place = data.draw(st.sampled_from([*places(tree)]))
    odd = changed(tree, place, data.draw(ODD), gone=data.draw(st.booleans()))
    (folder / "index.json").write_text(json.dumps(odd))
    read_all(folder)


@settings(max_examples=40, deadline=None)
@given(
    row=st.integers(0, 2),
    column=st.sampled_from(["shard", "offset", "length", "label", "crc"]),
    value=st.sampled_from([-(2**31), -1, 0, 1, 511, 512, 2**31 - 1]),
)
def test_no_odd_table_gives_another_error_than_ours(whole, tmp_path_factory, row, column, value):
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    table = np.load(folder / "samples.npy")
    table[column][row] = max(value, 0) if column == "crc" else value
    np.save(folder / "samples.npy", table)
    read_all(folder)


def put_together(folder: Path, members: dict[str, bytes]) -> None:
    """The second shard and what the index and the table say of it, of one sample's members."""
    shard = folder / "shard-000001.tar"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
        length = tar.offset
    shard.write_bytes(stream.getvalue())
    table = np.load(folder / "samples.npy")
    table[2] = (1, 0, length, 1, zlib.crc32(stream.getvalue()[:length]))
    np.save(folder / "samples.npy", table)
    index = json.loads((folder / "index.json").read_text())
    index["shards"][1] |= {"bytes": shard.stat().st_size, "sha256": sha256_of(shard)}
    (folder / "index.json").write_text(json.dumps(index))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_odd_sample_gives_another_error_than_ours(whole, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd")
    shutil.copytree(whole, folder, dirs_exist_ok=True)
    with tarfile.open(folder / "shard-000001.tar") as tar:
        members = {each.name: tar.extractfile(each).read() for each in tar}
    name = data.draw(st.sampled_from([*members]))
    content = members.pop(name)
    about = json.loads(members.get("image2.json", content if name.endswith("json") else b"{}"))
    odd = st.one_of(
        st.binary(max_size=40),
        st.integers(0, len(content)).map(lambda end: content[:end]),
        st.integers(0, len(content) - 1).map(lambda at: content[:at] + b"\xff" + content[at + 1 :]),
        st.just(cv2.imencode(".png", np.zeros((3, 4, 3), np.uint8))[1].tobytes()),
        st.tuples(st.sampled_from([*about]), ODD).map(
            lambda pair: json.dumps(about | {pair[0]: pair[1]}).encode()
        ),
        st.just(b"[" * 100_000),
    )
    if data.draw(st.booleans()):  # or it is missing
        other = data.draw(st.sampled_from([name, name, f"{name}.x", "image2", "image2.jpg"]))
        members[other] = data.draw(odd)
    put_together(folder, members)
    read_all(folder)
