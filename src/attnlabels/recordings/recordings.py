"""Human recordings in shards, brought to the one size at which predictions are compared."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from tqdm import tqdm

from attnlabels.images.crops import Box, centre_box, count_points, crop_map
from attnlabels.images.decoding import decode
from attnlabels.shards.index import KINDS
from attnlabels.shards.shards import Sample, Shards


class Recording(NamedTuple):
    """A whole photograph, and where people looked in the crop that is compared.

    `density` is in [0, 1]; `points` are (row, col) on it, each four times for each that was
    recorded: one on the corner of four pixels is once on each.
    """

    name: str
    image: UInt8[np.ndarray, "h w 3"]
    density: Float[np.ndarray, "a b"]
    points: Int[np.ndarray, "p 2"]


def read_recordings(folder: Path, *, crop: float) -> Iterator[Recording]:
    """The recordings of a set of human shards, inside the central square `crop`; 1 is the whole.

    The size of `density` is the set's own (`map_size` when it was prepared), so all predictions
    for a set are compared at one size. An image without points inside raises ValueError.
    """
    shards = _open(folder)
    for i in tqdm(range(len(shards)), desc=f"{folder.name} recordings", disable=None):
        sample = shards[i]
        image = decode(sample["image"], name=f"{folder}: {sample['name']}")
        box = centre_box(image.shape[0], image.shape[1], crop)
        size = sample["map"].shape
        counts = _quarters(sample, box, size)
        points = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0)
        if not len(points):
            raise ValueError(f"{folder}: {sample['name']} has no point inside; leave it out")
        yield Recording(sample["name"], image, crop_map(sample["map"], box, size=size), points)


def count_recorded(folder: Path, *, crop: float) -> Int[np.ndarray, "a b"]:
    """How many points of all recordings together fell on each pixel of `density`, times four.

    Raises ValueError if the set's densities are of several sizes.
    """
    shards = _open(folder)
    shape = shards[0]["map"].shape
    total = np.zeros(shape, np.int64)
    for i in tqdm(range(len(shards)), desc=f"{folder.name} points", disable=None):
        sample = shards[i]
        if sample["map"].shape != shape:
            raise ValueError(
                f"{folder}: {sample['name']} has a map of {sample['map'].shape}, the first of "
                f"{shape}; prepare the set with one map_size"
            )
        box = centre_box(*sample["image_size"], crop)
        total += _quarters(sample, box, shape)
    return total


def _quarters(sample: Sample, box: Box, size: tuple[int, int]) -> Int[np.ndarray, "a b"]:
    counts = count_points(sample["points"], grid=sample["grid"], box=box, size=size)
    return np.rint(4 * counts).astype(np.int64)


def _open(folder: Path) -> Shards:
    shards = Shards(folder)
    kind = shards.index["maps_by"]["kind"]
    if kind != "human":
        raise ValueError(f"{folder}: its maps are by {KINDS[kind]}; expected recordings of people")
    return shards
