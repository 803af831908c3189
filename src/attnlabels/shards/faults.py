"""What is wrong with a folder of attention shards, and where: all of it, not the first fault.

The shards may be a stranger's: no pickle is read, nothing is unpacked, no picture decoded whose
header asks for more memory than a map has use for.
"""

import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from attnlabels.files.damage import NO_ARRAY
from attnlabels.images.decoding import read_size
from attnlabels.images.formats import KINDS as IMAGES
from attnlabels.images.tars import NO_TAR, fault_of, forward
from attnlabels.shards.index import (
    FORMAT,
    NOBODY,
    PEOPLE,
    SAMPLE,
    leads_out,
    missing_of,
    unfit_of,
)
from attnlabels.shards.shards import BLOCK, KEY, MAP_MAX, read_about, sha256_of

NEEDED = ("map.png", "points.npy", "json")
ALLOWED = {*IMAGES, *NEEDED, "observers.npy"}
LARGEST_MAP = 1 << 24  # pixels
LARGEST_INDEX = LARGEST_MEMBER = 1 << 30  # bytes
PNG = b"\x89PNG\r\n\x1a\n"
Named = Mapping[str, Any]


class Fault(NamedTuple):
    """One thing that is wrong."""

    place: str
    what: str


def check(shards: Path) -> Iterator[Fault]:
    """The faults of a folder of shards, as they are found; every byte of it is read.

    Of the index and the table; each shard's size, sha256 and count; every sample's members, key,
    checksum, label, image header, map (16-bit grey, of a largest value of 65535 and not constant;
    0 where nobody drew) and points (on the grid, at least one where a teacher drew, one observer
    each where people did, none where nobody did). Raises FileNotFoundError if there is no such
    folder.
    """
    shards = Path(shards)
    if not shards.is_dir():
        raise FileNotFoundError(f"{shards}: no such folder")
    for place, what in _check(shards):
        yield Fault(_printable(place), _printable(what))


def _printable(text: str) -> str:
    # A stranger's names may hold what moves a terminal's cursor, or bytes that are no text.
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _check(shards: Path) -> Iterator[Fault]:
    index, faults = _read_index(shards)
    yield from faults
    if index is None:
        return
    table, faults = _read_table(shards, index)
    yield from faults
    keys: set[str] = set()
    listed = {str(each["name"]) for each in index["shards"]}
    for number, entry in enumerate(index["shards"]):
        rows = None if table is None else table[table["shard"] == number]
        yield from _check_shard(shards, entry, index, rows, keys)
    for path in sorted(shards.glob("*.tar")):
        if path.name not in listed:
            yield Fault(path.name, "not in index.json: of another writing, or half of this one")


def _read_index(folder: Path) -> tuple[dict[str, Any] | None, list[Fault]]:
    place = "index.json"
    path = folder / place
    if not path.is_file():
        return None, [Fault(place, "missing: the shards were not finished")]
    if path.stat().st_size > LARGEST_INDEX:
        return None, [Fault(place, f"{path.stat().st_size} bytes are no index")]
    try:
        index = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        return None, [Fault(place, f"not JSON ({error})")]
    found = index.get("format") if isinstance(index, dict) else None
    if found != FORMAT:
        return None, [
            Fault(
                place,
                f"format {found!r} where {FORMAT} is read: of another version of attnlabels, or "
                "not of it",
            )
        ]
    if missing := missing_of(index):
        return None, [Fault(place, what) for what in missing]
    return index, [Fault(place, what) for what in unfit_of(index)]


def _read_table(folder: Path, index: Named) -> tuple[np.ndarray | None, list[Fault]]:
    place = "samples.npy"
    try:
        table = np.load(folder / place, mmap_mode="r", allow_pickle=False)
    except NO_ARRAY as error:
        return None, [Fault(place, f"not the table of samples ({error})")]
    if not isinstance(table, np.ndarray) or table.dtype != SAMPLE or table.ndim != 1:
        return None, [Fault(place, "not the table of samples: its columns are others")]
    counts = [each["count"] for each in index["shards"]]
    found = np.bincount(np.clip(table["shard"], -1, len(counts)) + 1, minlength=len(counts) + 2)
    faults = [
        Fault(place, f"{n} rows of {each['name']}, of which index.json has {each['count']}")
        for n, each in zip(found[1:-1].tolist(), index["shards"])
        if n != each["count"]
    ]
    if found[0] + found[-1]:
        faults.append(Fault(place, f"{found[0] + found[-1]} rows of shards that there are not"))
    return table, faults


def _check_shard(
    folder: Path, entry: Named, index: Named, rows: np.ndarray | None, keys: set[str]
) -> Iterator[Fault]:
    name = entry["name"]
    if leads_out(name):  # which the index's faults say
        return
    path = folder / name
    if not path.is_file():
        yield Fault(name, "missing")
        return
    if (size := path.stat().st_size) != entry["bytes"]:
        yield Fault(name, f"{size} bytes, its index says {entry['bytes']}")
    elif (digest := sha256_of(path)) != entry["sha256"]:
        yield Fault(name, f"sha256 {digest}, its index says {entry['sha256']}")
    count = 0
    try:
        for n_read, (place, what) in _check_samples(path, index, rows, keys):
            count = n_read
            if what:
                yield Fault(place, what)
    except NO_TAR as error:
        yield Fault(name, f"cut short, or no tar, after {count} samples ({error})")
        return
    if count != entry["count"]:
        yield Fault(name, f"{count} samples, its index says {entry['count']}")


def _check_samples(
    path: Path, index: Named, rows: np.ndarray | None, keys: set[str]
) -> Iterator[tuple[int, Fault]]:
    """The faults of a shard's samples, and how many were read; one of no words if all is well."""
    with tarfile.open(path, "r:") as tar, path.open("rb") as file:
        runs = groupby(forward(tar), key=lambda member: member.name.partition(".")[0])
        for i, (key, run) in enumerate(runs):
            members = list(run)
            place = f"{path.name}: {key or members[0].name}"
            row = None if rows is None or i >= len(rows) else rows[i]
            faults = [f"{each.name} {why}" for each in members if (why := _member_fault(each))]
            if not faults:
                start, last = members[0].offset, members[-1]
                file.seek(start)
                span = file.read(last.offset_data + -(-last.size // BLOCK) * BLOCK - start)
                parts = {
                    each.name.partition(".")[2]: span[at : at + each.size]
                    for each in members
                    for at in [each.offset_data - start]
                }
                faults = ["the key is there twice"] if key in keys else []
                faults += [] if row is None else _row_faults(row, start, span)
                if len(parts) < len(members):
                    faults.append("has a member twice")
                label = None if row is None else int(row["label"])
                faults += _sample_faults(key, parts, index, label)
            keys.add(key)
            for what in faults or [""]:
                yield i + 1, Fault(place, what)


def _member_fault(member: tarfile.TarInfo) -> str:
    if why := fault_of(member):
        return why
    if member.offset_data - member.offset != BLOCK:
        return "has an extended header, which is not read"
    return f"has {member.size} bytes" if member.size > LARGEST_MEMBER else ""


def _row_faults(row: Any, start: int, span: bytes) -> list[str]:
    if (row["offset"], row["length"]) != (start, len(span)):
        at, length = row["offset"], row["length"]
        return [f"bytes {start} to {start + len(span)}, in samples.npy {at} to {at + length}"]
    if row["crc"] != zlib.crc32(span):
        return ["the checksum in samples.npy is of other bytes"]
    return []


def _sample_faults(
    key: str, parts: Mapping[str, bytes], index: Named, label: int | None
) -> Iterator[str]:
    if not KEY.fullmatch(key):
        yield "the key is not 1 to 80 letters, digits, '_' or '-'"
    if unknown := sorted(parts.keys() - ALLOWED):
        yield f"has {', '.join(unknown)}, which no sample has"
    if missing := [name for name in NEEDED if name not in parts]:
        yield f"has no {', '.join(missing)}"
        return
    images = [parts[name] for name in IMAGES if name in parts]
    if len(images) != 1:
        yield f"has {len(images)} images; expected one"
    try:
        about = read_about(parts["json"])
    except ValueError as error:
        yield str(error)
        return
    if label is not None and label != about["label"]:
        yield f"label {about['label']}, in samples.npy {label}"
    if not -1 <= about["label"] < max(len(index["classes"]), 1):
        yield f"label {about['label']} of {len(index['classes'])} classes"
    for image in images:
        yield from _image_faults(image, about["image"])
    nobody = about["source"] == NOBODY
    yield from _map_faults(parts["map.png"], top=0 if nobody else MAP_MAX)
    by = index["maps_by"]
    kind = NOBODY if nobody else by.get("of", by.get("kind"))  # whose points are, or would be
    yield from _point_faults(parts, about["grid"], kind=kind)


def _image_faults(data: bytes, expected: list[int]) -> Iterator[str]:
    try:
        size = [*read_size(data, name="image")]
    except ValueError as error:
        yield f"the image is not readable ({error})"
        return
    if size != expected:
        yield f"the image is {size[0]} x {size[1]}, its json says {expected[0]} x {expected[1]}"


def _map_faults(png: bytes, *, top: int) -> Iterator[str]:
    w, h = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))  # where a PNG has them
    if not png.startswith(PNG) or w * h > LARGEST_MAP:
        yield f"map.png is no PNG of at most {LARGEST_MAP} pixels"
        return
    map = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if map is None or map.dtype != np.uint16 or map.ndim != 2:
        yield "map.png is no whole 16-bit grey PNG"
    elif map.max() != top:
        yield f"the map's largest value is {map.max()}; expected {top}"
    elif top and map.min() == map.max():
        yield "the map is the same everywhere"


def _point_faults(parts: Mapping[str, bytes], grid: list[int], *, kind: Any) -> Iterator[str]:
    arrays = {}
    for name in ("points.npy", "observers.npy"):
        if name not in parts:
            continue
        try:
            arrays[name] = np.load(io.BytesIO(parts[name]), allow_pickle=False)
        except NO_ARRAY as error:
            yield f"{name} is not readable ({error})"
            return
        if not isinstance(arrays[name], np.ndarray) or arrays[name].dtype != np.int16:
            yield f"{name} is not int16"
            return
    points, observers = arrays["points.npy"], arrays.get("observers.npy")
    if points.ndim != 2 or points.shape[1] != 2:
        yield f"points are {list(points.shape)}; expected [n, 2]"
        return
    outside = points[((points < 0) | (points >= grid)).any(axis=1)]
    if len(outside):
        row, col = outside[0].tolist()
        yield f"{len(outside)} points outside the grid {grid[0]} x {grid[1]}, ({row}, {col}) first"
    if kind == NOBODY and len(points):
        yield f"{len(points)} points of nobody's"
    if kind not in (*PEOPLE, NOBODY) and not len(points):
        yield "no points"
    if kind not in PEOPLE and len(np.unique(points, axis=0)) < len(points):
        yield "a pseudo fixation is there twice"
    if observers is not None and observers.shape != (len(points),):
        yield f"{list(observers.shape)} observers for {len(points)} points"
