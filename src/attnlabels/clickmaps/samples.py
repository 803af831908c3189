"""Samples of shards from images and what players painted on them."""

import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from torch.utils.data import Dataset

from attnlabels.clickmaps.blurring import Blur, blur
from attnlabels.images.broken import Broken, note_left_out
from attnlabels.images.decoding import resize_map
from attnlabels.processes.loading import load
from attnlabels.shards.index import NOBODY
from attnlabels.shards.keys import key_of
from attnlabels.shards.shards import Sample

Unpainted = Literal["keep", "drop"]
Use = Literal["with_map", "withheld", "without_map"]
# Images that a worker hands on together: with 16 it takes a tenth longer. Of each worker two times
# as many files of images are in memory.
AT_ONCE = 64
USED = ("submissions_used", "clicks_used")  # of an image's counts


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


class Read(NamedTuple):
    """What came of reading an image, or a record."""

    name: str
    painted: Painted | None  # None: it cannot be used
    why: str = ""  # it cannot, where, and what to do
    counts: Mapping[str, int] | None = None  # of its clicks: used, or left out and by what


class PaintedImages(ABC):
    """The images of a source by number; each is read when it is asked for, in any process."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, number: int) -> Read:
        """One that cannot be used says why. Raises ValueError or OSError where all has to end."""


class Outcome(NamedTuple):
    """What came of making a sample of an image."""

    name: str
    sample: Sample | None  # None: it cannot be used
    use: Use = "without_map"
    why: str = ""
    counts: Mapping[str, int] | None = None
    error: Exception | None = None  # at which all ends


@dataclass(frozen=True, kw_only=True)
class Maps:
    """What becomes of the maps."""

    blur: Blur
    size: tuple[int, int]  # height and width that they are reduced to
    share: float  # of the images whose map is used; a checksum of an image's name decides
    source: str  # what a sample with a map says of where it is from


class DrawnImages(Dataset[Outcome]):
    """A sample of each of the images, drawn in whichever process asks for it."""

    def __init__(self, images: PaintedImages, maps: Maps) -> None:
        self.images, self.maps = images, maps

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, number: int) -> Outcome:
        try:
            return draw(self.images[number], self.maps)
        except (ValueError, OSError) as error:  # raised in a worker, it would get torch's words;
            # so it is handed on, and what has been read beside it is thrown away
            return Outcome("", None, error=error)


def draw_all(images: PaintedImages, maps: Maps, *, workers: int) -> Iterator[Outcome]:
    """The images' samples in their order, drawn by so many processes beside this one.

    What reading one raises is its `error`; raises OSError where workers cannot be had.
    """
    drawn, at_once = DrawnImages(images, maps), AT_ONCE if workers else 1
    more: dict[str, Any] = {"prefetch_factor": 1} if workers else {}
    for some in load(drawn, workers=workers, batch_size=at_once, collate_fn=list, **more):
        yield from some


def draw(read: Read, maps: Maps) -> Outcome:
    """The sample of an image that was read; one whose map is withheld is as nobody's."""
    if read.painted is None:
        return Outcome(read.name, None, why=read.why, counts=read.counts)
    each, map = read.painted, read.painted.map
    if map is None or not is_used(each.name, share=maps.share):
        use: Use = "without_map" if map is None else "withheld"
        nothing = np.zeros(maps.size, np.float32)
        sample = _sample(each, nothing, each.points[:0], each.players[:0], NOBODY)
        return Outcome(read.name, sample, use, counts=read.counts)
    if map.min() == map.max():
        why = f"{each.where}: the map is the same everywhere; mend it"
        return Outcome(read.name, None, why=why, counts=unused(read.counts))
    drawn = resize_map(blur(map, maps.blur), *maps.size)
    sample = _sample(each, drawn, each.points, each.players, maps.source)
    return Outcome(read.name, sample, "with_map", counts=read.counts)


def unused(counts: Mapping[str, int] | None) -> Mapping[str, int] | None:
    """The counts of an image that is left out after all."""
    if counts is None:
        return None
    lost = {"of_broken_images": counts["submissions_used"]}
    return Counter(counts) + Counter(lost) - Counter({key: counts[key] for key in USED})


def as_samples(
    drawn: Iterable[Outcome],
    counts: Counter[str],
    skipped: list[str],
    *,
    unpainted: Unpainted,
    broken: Broken,
    where: str,
) -> Iterator[Sample]:
    """The samples, but for images that nobody painted on where such are dropped.

    `counts` gets how many images had their map used, withheld, or none, and what became of clicks;
    `skipped` the names of images that cannot be used. Raises ValueError for such a one unless what
    is broken is skipped, what reading one raised, and ValueError after the last image, naming
    `where` they are from, if none had any map.
    """
    for each in drawn:
        if each.error is not None:
            raise each.error
        counts.update(each.counts or {})
        if each.sample is None:
            if broken == "stop":
                raise ValueError(f"{each.why}, or leave such out: `broken: skip`")
            note_left_out(skipped, each.name, each.why)
            continue
        counts[each.use] += 1
        if each.use != "without_map" or unpainted == "keep":
            yield each.sample
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
