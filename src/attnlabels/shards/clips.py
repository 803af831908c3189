"""Shards of clips with attention: tar files that webdataset reads, with random access.

Folder, index and table are those of `attnlabels.shards.shards`; a sample's members are

    <key>.frames.npy     uint8 [t, h, w, 3]: decoded, so that a read is all that a clip costs
    <key>.map.png        where people looked, over all frames, 16-bit grey, its largest value 65535
    <key>.points.npy     int16 [n, 3] (frame, row, col) from 0, pixels of a frame
    <key>.json           label, frames [t, h, w, 3], source, name
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from jaxtyping import Int32

from attnlabels.shards.shards import (
    KEY,
    Members,
    Shard,
    Shards,
    decode_map,
    encode_map,
    int16_of,
    npy_of,
    shard_name,
    split_members,
    values_of,
    write_index,
    write_members,
)

FRAMES = "frames.npy"


class Clip(TypedDict):
    """A clip, and where people looked in it."""

    key: str  # unique in the folder
    frames: np.ndarray  # uint8 [t h w 3]
    map: np.ndarray  # [h w], 0..1, of all frames
    points: np.ndarray  # [n 3] (frame, row, col) from 0
    label: int
    source: str
    name: str


def write_clips(
    folder: Path,
    clips: Iterable[Clip],
    *,
    maximum_count: int,
    maps_by: Mapping[str, Any],
    classes: Sequence[str],
) -> None:
    """Write clips into the new folder `folder`, `maximum_count` to a shard, and its index.

    Raises ValueError with a clip's key if it is none, if its frames are not as many and as large
    as the first clip's, or if the key was there before.
    """
    if maximum_count < 1:
        raise ValueError(f"{folder}: {maximum_count} clips to a shard; expected at least 1")
    folder.mkdir(parents=True)
    shards: dict[str, Shard] = {}
    left = _alike(clips, n_classes=len(classes))
    for clip in left:
        name = shard_name(len(shards))
        group = chain([clip], islice(left, maximum_count - 1))
        shards[name] = write_members(folder / name, map(_members, group))
    write_index(folder, shards, maps_by=maps_by, classes=classes)


class Clips:
    """The clips of a folder by number, in the order they were written."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards = folder, Shards(folder)

    def __len__(self) -> int:
        return len(self.shards)

    @property
    def labels(self) -> Int32[np.ndarray, "n"]:
        """Each clip's class."""
        return self.shards.labels

    @property
    def classes(self) -> list[str]:
        """The labels' names, in order."""
        return self.shards.classes

    def __getitem__(self, i: int) -> Clip:
        return self.shards.read(i, _as_clip)


def _as_clip(span: bytes, label: int) -> Clip:
    key, members = split_members(span)
    about = json.loads(members["json"])
    frames = values_of(members[FRAMES], "u1").reshape(about["frames"])
    return Clip(
        key=key,
        frames=frames,
        map=decode_map(members["map.png"]),
        points=int16_of(members["points.npy"]).reshape(-1, 3),
        label=label,
        source=about["source"],
        name=about["name"],
    )


def _members(clip: Clip) -> Members:
    frames = io.BytesIO()
    np.save(frames, np.ascontiguousarray(clip["frames"]))
    about = {
        "label": clip["label"],
        "frames": clip["frames"].shape,
        "source": clip["source"],
        "name": clip["name"],
    }
    members = [
        (FRAMES, frames.getvalue()),
        ("json", json.dumps(about).encode()),
        ("map.png", encode_map(clip["map"])),
        ("points.npy", npy_of(clip["points"])),
    ]
    return Members(clip["key"], clip["label"], members)


def _alike(clips: Iterable[Clip], *, n_classes: int) -> Iterator[Clip]:
    """The clips, each seen to fit, and to be unlike all before in its key alone."""
    keys: set[str] = set()
    size: tuple[int, ...] | None = None
    for clip in clips:
        key, frames, points = clip["key"], clip["frames"], clip["points"]
        if not KEY.fullmatch(key) or key in keys:
            raise ValueError(f"key {key!r}: expected 1 to 80 letters, digits, '_' or '-', once")
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise ValueError(f"{key}: frames are {frames.dtype} {frames.shape}")
        size = size or frames.shape
        if frames.shape != size:
            raise ValueError(
                f"{key} has {len(frames)} frames of {frames.shape[1]} x {frames.shape[2]} pixels, "
                f"the first clip {size[0]} of {size[1]} x {size[2]}; cut all alike"
            )
        if not 0 <= clip["label"] < n_classes:
            raise ValueError(f"{key}: label {clip['label']} of {n_classes} classes")
        outside = points.ndim != 2 or ((points < 0) | (points >= frames.shape[:3])).any()
        if outside:
            raise ValueError(f"{key}: points outside of its frames; (frame, row, col) from 0")
        keys.add(key)
        yield clip
