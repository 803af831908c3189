"""Shards of images with attention maps: tar files that webdataset reads, with random access.

One schema holds maps of people, of a teacher and of anything else, so that what trains on them
cannot tell who drew them. A folder has `shard-000000.tar`, ..., `index.json` (provenance
and checksums) and `samples.npy` (where each sample lies). A sample's members, in this order:

    <key>.jpg, .png ...  the original image, unchanged; its suffix is one of formats.KINDS
    <key>.map.png        attention map, 16-bit grey, its largest value 65535; 0 if of nobody's
    <key>.points.npy     int16 [n, 2] (row, col) from 0, pixels of a grid
    <key>.observers.npy  int16 [n], who made each point; people's maps only
    <key>.json           label (-1: none), grid [h, w], image [h, w], source, name; the source
                         "nobody" is of an image that has no map, and so no points
"""

import hashlib
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, TypeVar

import cv2
import numpy as np
from jaxtyping import Float, Int16, Int32
from webdataset import TarWriter

from attnlabels.images.formats import KINDS as IMAGES
from attnlabels.images.formats import kind_of
from attnlabels.shards.index import CURE, FORMAT, KINDS, NOBODY, SAMPLE, read_index, read_table

KEY = re.compile(r"[A-Za-z0-9_-]{1,80}")  # webdataset ends a key at the first dot
BLOCK = 512  # bytes of a tar's header and its unit of padding
MAP_MAX = 65535
INT16_MAX = 32767
ABOUT = {"label": int, "grid": list, "image": list, "source": str, "name": str}  # a sample's .json
Read = TypeVar("Read")
# What a member that is none makes of what reads it.
NO_SAMPLE = (LookupError, ValueError, TypeError, RecursionError)


class Sample(TypedDict):
    """An image and where people, or a teacher, look in it."""

    key: str  # unique in the folder
    image: bytes  # the encoded file
    map: np.ndarray  # [h w], 0..1, largest value 1 as read; all 0 where the source is NOBODY
    points: np.ndarray  # [n 2] (row, col) from 0 on `grid`
    observers: np.ndarray | None  # [n]
    label: int  # -1: none
    grid: tuple[int, int]  # height, width
    image_size: tuple[int, int]  # height, width
    source: str
    name: str  # the original file's


def encode_map(map: Float[np.ndarray, "h w"]) -> bytes:
    """The map as a 16-bit grey PNG, scaled to a largest value of 65535."""
    top = map.max()
    if not np.isfinite(map).all() or map.min() < 0 or top == 0:
        raise ValueError(f"map runs from {map.min()} to {top}; expected finite, >= 0, not all 0")
    _, png = cv2.imencode(".png", np.rint(map * (MAP_MAX / float(top))).astype(np.uint16))
    return png.tobytes()


def decode_map(png: bytes) -> Float[np.ndarray, "h w"]:
    """What `encode_map` wrote, as float32 in 0..1; raises ValueError for anything else."""
    try:
        grey = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # of no bytes at all
        grey = None
    if grey is None or grey.dtype != np.uint16 or grey.ndim != 2:
        raise ValueError("map.png is no whole 16-bit grey PNG")
    return grey.astype(np.float32) / np.float32(MAP_MAX)


class Shard(NamedTuple):
    """What the index will say of a shard that is written."""

    bytes: int
    sha256: str
    rows: np.ndarray  # of SAMPLE, one a sample; `write_index` numbers their shards


class Members(NamedTuple):
    """What of a sample goes into a tar: the bytes of each member by its suffix, in their order."""

    key: str
    label: int
    members: list[tuple[str, bytes]]


def shard_name(number: int) -> str:
    """The file name of the shard of that number."""
    return f"shard-{number:06d}.tar"


def write_shard(path: Path, samples: Iterable[Sample], *, n_classes: int) -> Shard:
    """Write samples, taken one at a time, to the file `path`; their labels are below `n_classes`.

    Raises ValueError with a sample's key if it is no sample. Keys are unique among all shards of
    a folder, which who divides samples among shards sees to. On any error `path` is unfinished.
    """
    members = (Members(each["key"], each["label"], _members(each, n_classes)) for each in samples)
    return write_members(path, members)


def write_members(path: Path, samples: Iterable[Members]) -> Shard:
    """`write_shard` of samples of any kind, as what of them goes into the tar."""
    spans: list[tuple[int, int, int]] = []  # offset, length, label
    with path.open("wb") as file:
        tar = TarWriter(file, encoder=False, mtime=0)
        try:
            for sample in samples:
                offset = tar.tarstream.offset
                for suffix, data in sample.members:  # TarWriter sorts what it gets
                    tar.write({"__key__": sample.key, suffix: data})
                spans.append((offset, tar.tarstream.offset - offset, sample.label))
        except BaseException:
            with suppress(OSError):  # an error is under way; that of a full disk says so
                tar.close()
            raise
        tar.close()
    digest = hashlib.sha256()
    rows = np.zeros(len(spans), SAMPLE)
    with path.open("rb") as file:
        for i, (offset, length, label) in enumerate(spans):
            span = file.read(length)
            digest.update(span)
            rows[i] = (0, offset, length, label, zlib.crc32(span))
        digest.update(file.read())  # the end of the tar
    return Shard(path.stat().st_size, digest.hexdigest(), rows)


def write_index(
    folder: Path,
    shards: Mapping[str, Shard],
    *,
    maps_by: Mapping[str, Any],
    classes: Sequence[str],
    skipped: Sequence[str] = (),
) -> None:
    """Write the table and the index of the shards in `folder`, named and in order.

    `maps_by` says who drew the maps: {"kind": one of KINDS, ...}. `classes` names the labels,
    in order, and `skipped` the images that were left out. The index is written last, so a
    folder without one is unfinished. Raises ValueError if there is no sample.
    """
    if maps_by.get("kind") not in KINDS:
        kinds = ", ".join(KINDS)
        raise ValueError(f"{folder}: maps_by is {maps_by}; expected a kind of {kinds}")
    counts = [len(each.rows) for each in shards.values()]
    if not sum(counts):
        raise ValueError(
            "no sample was written, as every image was left out; look why, with `broken` at "
            "`stop`, or give others"
        )
    table = np.concatenate([each.rows for each in shards.values()])
    table["shard"] = np.repeat(np.arange(len(counts)), counts)
    np.save(folder / "samples.npy", table)
    index = {
        "format": FORMAT,
        "maps_by": dict(maps_by),
        "samples": len(table),
        "shards": [
            {"name": name, "count": count, "bytes": each.bytes, "sha256": each.sha256}
            for (name, each), count in zip(shards.items(), counts)
        ],
        "skipped": list(skipped),
        "classes": list(classes),
    }
    text = json.dumps(index, indent=1, allow_nan=False)
    (folder / "index.json").write_text(text + "\n")


def write_shards(
    folder: Path,
    samples: Iterable[Sample],
    *,
    maximum_count: int,
    maps_by: Mapping[str, Any],
    classes: Sequence[str],
    skipped: Sequence[str] = (),
) -> None:
    """Write samples into the new folder `folder`, `maximum_count` to a shard, and its index.

    The rest is as `write_index` has it; `skipped` may grow while the samples are taken.
    """
    if maximum_count < 1:
        raise ValueError(f"{folder}: {maximum_count} samples to a shard; expected at least 1")
    folder.mkdir(parents=True)
    shards: dict[str, Shard] = {}
    left = _distinct(samples, folder)
    for sample in left:
        name = shard_name(len(shards))
        group = chain([sample], islice(left, maximum_count - 1))
        shards[name] = write_shard(folder / name, group, n_classes=len(classes))
    write_index(folder, shards, maps_by=maps_by, classes=classes, skipped=skipped)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, which need not fit into memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def verify(folder: Path) -> None:
    """Read every shard in full and compare its sha256 with the index."""
    for shard in read_index(folder)["shards"]:
        found = sha256_of(folder / shard["name"])
        if found != shard["sha256"]:
            expected = shard["sha256"]
            raise ValueError(f"{folder / shard['name']}: sha256 {found}, not {expected}; {CURE}")


class Shards:
    """The samples of a folder by number, in the order they were written.

    Opens a shard for each sample and keeps none open: it may be pickled and forked, and a
    thousand shards need no thousand handles. A sample's checksum is tested at each access.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = read_index(folder)
        self._table = read_table(folder, self.index)
        self._paths = [str(folder / shard["name"]) for shard in self.index["shards"]]

    def __len__(self) -> int:
        return len(self._table)

    @property
    def labels(self) -> Int32[np.ndarray, "n"]:
        """Each sample's class, -1 where it has none."""
        return self._table["label"].astype(np.int32)

    @property
    def classes(self) -> list[str]:
        """The labels' names, in order."""
        return self.index["classes"]

    def __getitem__(self, i: int) -> Sample:
        return self.read(i, _as_sample)

    def read(self, i: int, decode: Callable[[bytes, int], Read]) -> Read:
        """What `decode` makes of sample `i`: of its bytes in the tar, and of its label.

        Raises ValueError, naming the shard, where it fails as on what is no such sample.
        """
        shard, offset, length, label, crc = self._table[i].item()
        with open(self._paths[shard], "rb", buffering=0) as file:
            file.seek(offset)
            span = file.read(length)
        if len(span) != length or zlib.crc32(span) != crc:
            raise ValueError(
                f"{self._paths[shard]}: at byte {offset} is not sample {i} as the index has it; "
                f"the shard was cut, altered or put together anew: {CURE}"
            )
        try:
            return decode(span, label)
        except NO_SAMPLE as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{self._paths[shard]}: sample {i}, at byte {offset}, is none of ours ({what}); "
                f"{CURE}"
            ) from error


def read_about(data: bytes) -> dict[str, Any]:
    """What a sample's `.json` says: its ABOUT, the sizes as [height, width].

    Raises ValueError for what is missing or of another type.
    """
    try:
        about = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"json is not JSON ({error})") from error
    for key, kind in ABOUT.items():
        value = about.get(key) if isinstance(about, dict) else None
        is_size = (
            isinstance(value, list)
            and len(value) == 2
            and all(isinstance(each, int) and each > 0 for each in value)
        )
        if not isinstance(value, kind) or (kind is list and not is_size):
            raise ValueError(f"json: {key} is {str(value)[:40]!r}")
    return about


def _as_sample(span: bytes, label: int) -> Sample:
    key, members = split_members(span)
    about = read_about(members["json"])
    observers = members.get("observers.npy")
    (kind,) = [kind for kind in IMAGES if kind in members]
    return Sample(
        key=key,
        image=members[kind],
        map=decode_map(members["map.png"]),
        points=int16_of(members["points.npy"]).reshape(-1, 2),
        observers=None if observers is None else int16_of(observers),
        label=label,
        grid=tuple(about["grid"]),
        image_size=tuple(about["image"]),
        source=about["source"],
        name=about["name"],
    )


def _distinct(samples: Iterable[Sample], folder: Path) -> Iterator[Sample]:
    keys: set[str] = set()
    for sample in samples:
        key = sample["key"]
        if key in keys:
            raise ValueError(f"key {key!r} is already in {folder}; keys are unique")
        keys.add(key)
        yield sample


def _members(sample: Sample, n_classes: int) -> list[tuple[str, bytes]]:
    key, points, observers = sample["key"], sample["points"], sample["observers"]
    if not KEY.fullmatch(key):
        raise ValueError(f"key {key!r}: expected 1 to 80 letters, digits, '_' or '-'")
    if sample["label"] < -1 or sample["label"] >= max(n_classes, 1):
        raise ValueError(f"{key}: label {sample['label']} of {n_classes} classes")
    _require_points(points, sample["grid"], key)
    if observers is not None:
        _require_observers(observers, len(points), key)
    try:
        map_png = (
            _encode_nothing(sample) if sample["source"] == NOBODY else encode_map(sample["map"])
        )
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    about = {
        "label": sample["label"],
        "grid": list(sample["grid"]),
        "image": list(sample["image_size"]),
        "source": sample["source"],
        "name": sample["name"],
    }
    members = [
        (_image_suffix(sample["image"], key), sample["image"]),
        ("map.png", map_png),
        ("points.npy", npy_of(points)),
    ]
    if observers is not None:
        members.append(("observers.npy", npy_of(observers)))
    return [*members, ("json", json.dumps(about).encode())]


def _encode_nothing(sample: Sample) -> bytes:
    if sample["map"].any() or len(sample["points"]):
        raise ValueError(f"a map or points of source {NOBODY!r}; name who made them")
    _, png = cv2.imencode(".png", np.zeros(sample["map"].shape, np.uint16))
    return png.tobytes()


def _require_points(points: np.ndarray, grid: tuple[int, int], key: str) -> None:
    if max(grid) > INT16_MAX or min(grid) < 1:
        raise ValueError(f"{key}: grid {grid}; expected 1 to {INT16_MAX} rows and columns")
    if points.ndim != 2 or points.shape[1] != 2 or not np.issubdtype(points.dtype, np.integer):
        raise ValueError(f"{key}: points are {points.dtype} {points.shape}, expected int [n, 2]")
    outside = ((points < 0) | (points >= grid)).any(axis=1)
    if outside.any():
        row, col = points[outside][0]
        raise ValueError(
            f"{key}: point (row {row}, col {col}) is outside the grid {grid[0]} x {grid[1]}; "
            "points are (row, col), counted from 0"
        )


def _require_observers(observers: np.ndarray, n_points: int, key: str) -> None:
    if observers.shape != (n_points,):
        raise ValueError(f"{key}: {observers.shape} observers for {n_points} points; one each")
    if n_points and (observers.min() < -INT16_MAX or observers.max() > INT16_MAX):
        raise ValueError(f"{key}: an observer beyond {INT16_MAX} does not fit; number them anew")


def _image_suffix(data: bytes, key: str) -> str:
    if kind := kind_of(data):
        return kind
    raise ValueError(
        f"{key}: the image is none of {', '.join(IMAGES)} (begins {data[:4]!r}); convert it"
    )


def npy_of(array: np.ndarray) -> bytes:
    """The whole numbers as NumPy's file of int16."""
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(array, "<i2"))  # by rows, as int16_of takes it
    return stream.getvalue()


def int16_of(data: bytes) -> Int16[np.ndarray, "n"]:
    """What `npy_of` wrote, as one row."""
    return values_of(data, "<i2").astype(np.int16)  # a copy may be written to


def values_of(data: bytes, kind: str) -> np.ndarray:
    """The values of NumPy's file, of a `kind` that is known, as one row that is only to be read."""
    # np.load takes 50 us to parse a header that shards alone have written.
    return np.frombuffer(data, kind, offset=10 + int.from_bytes(data[8:10], "little"))


def split_members(span: bytes) -> tuple[str, dict[str, bytes]]:
    """A sample's key, and its members by their suffixes."""
    # A plain ustar stream: a header of one block (name at 0, octal size at 124), then the
    # data, padded to a block.
    members: dict[str, bytes] = {}
    start, key = 0, ""
    while start < len(span):
        name = span[start : start + 100].rstrip(b"\0").decode("ascii")
        size = int(span[start + 124 : start + 135], 8)
        if size < 0:
            raise ValueError(f"a member of {size} bytes")
        key, suffix = name.split(".", 1)
        start += BLOCK
        members[suffix] = span[start : start + size]
        start += -(-size // BLOCK) * BLOCK
    return key, members
