"""Samples of shards from images and what players painted on them."""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from attnlabels.clickmaps.blurring import Blur, blur
from attnlabels.images.broken import Broken, note_left_out
from attnlabels.images.decoding import resize_map
from attnlabels.shards.index import NOBODY
from attnlabels.shards.keys import key_of
from attnlabels.shards.shards import Sample

Unpainted = Literal["keep", "drop"]


class Painted(NamedTuple):
    """An image, and what players painted on it."""

    name: str  # its path below the class folders, or its record's
    image: bytes
    size: tuple[int, int]  # height, width
    label: int
    map: Float[np.ndarray, "h w"] | None  # of the image's size, not blurred; None: nobody painted
    points: Int[np.ndarray, "n 2"]  # clicks (row, col) from 0, none where only the map is known
    players: Int[np.ndarray, "n"]  # who made each
    where: str  # for messages


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What becomes of the maps."""

    blur: Blur
    size: tuple[int, int]  # height and width that they are reduced to
    share: float  # of the images whose map is used; a checksum of an image's name decides
    unpainted: Unpainted  # what becomes of an image that nobody painted on
    broken: Broken  # at an image whose map is the same everywhere


def as_samples(
    painted: Iterable[Painted],
    counts: Counter[str],
    skipped: list[str],
    *,
    maps: Maps,
    source: str,
    where: str,
) -> Iterator[Sample]:
    """A sample for each image, unless nobody painted on it and such are dropped.

    One whose map is withheld, by `maps.share`, stays as one that nobody painted on. `counts` gets
    how many images had their map used, withheld, or none. Raises ValueError for a map that is the
    same everywhere, unless what is broken is skipped, and, after the last image, naming `where`
    they are from, if none had any map.
    """
    for each in painted:
        map, used = each.map, is_used(each.name, share=maps.share)
        if map is not None and used and map.min() == map.max():
            why = f"{each.where}: the map is the same everywhere"
            if maps.broken == "stop":
                raise ValueError(f"{why}; mend it, or leave out such images: `broken: skip`")
            note_left_out(skipped, each.name, why)
            continue
        counts["without_map" if map is None else "with_map" if used else "withheld"] += 1
        if map is None and maps.unpainted == "drop":
            continue
        if map is not None and used:
            drawn = resize_map(blur(map, maps.blur), *maps.size)
            yield _sample(each, drawn, each.points, each.players, source)
        else:
            nothing = np.zeros(maps.size, np.float32)
            yield _sample(each, nothing, each.points[:0], each.players[:0], NOBODY)
    if not counts["with_map"] + counts["withheld"]:
        told = ", ".join(f"{key} {n}" for key, n in counts.items() if n)
        raise ValueError(
            f"{where}: no image has a map ({told or 'no image at all'}); see what the row asks of "
            "submissions, and whether the file is whole"
        )


def is_used(name: str, *, share: float) -> bool:
    """Whether an image's map is among the `share` that is used; by its file's name alone."""
    return zlib.crc32(PurePosixPath(name).name.encode()) < share * 2**32


def _sample(
    each: Painted,
    map: Float[np.ndarray, "i j"],
    points: Int[np.ndarray, "n 2"],
    players: Int[np.ndarray, "n"],
    source: str,
) -> Sample:
    return Sample(
        key=key_of(str(PurePosixPath(each.name).with_suffix(""))),
        image=each.image,
        map=map,
        points=points,
        observers=players,
        label=each.label,
        grid=each.size,
        image_size=each.size,
        source=source,
        name=each.name,
    )
