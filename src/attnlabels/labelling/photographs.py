"""Images to be labelled, from folders or tars: their keys, their bytes, their pixels."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch.utils.data import Dataset

from attnlabels.images.decoding import UNREAD, decode
from attnlabels.images.folder import Manifest, scan
from attnlabels.images.names import is_image
from attnlabels.images.tars import find_tars, list_tars
from attnlabels.images.tree import ImageFiles, list_tree
from attnlabels.shards.keys import key_apart, key_of
from attnlabels.teachers.shapes import Group, Shape, group_alike, show

OVERLAYS = "overlay"  # the folder of pictures to look at, beside the tars that `label` writes


@runtime_checkable
class Source(Protocol):
    """Encoded images by their number in a list of paths below `root`."""

    @property
    def root(self) -> Path: ...

    @property
    def listed(self) -> Manifest: ...

    def read(self, i: int) -> bytes: ...

    def stem(self, i: int) -> str: ...

    def stamp(self, i: int) -> tuple[int, ...]: ...


def find_images(images: str | Path, *, classes: bool) -> tuple[Source, dict[str, str]]:
    """The images of a folder or of tars, and of what is none there the names and why.

    Raises ValueError for a folder with both.
    """
    tars = find_tars(str(images))
    if not tars:
        listed, left_out = list_tree(Path(images), classes=classes)
        return ImageFiles(Path(images), listed), left_out
    require_tars_alone(images)
    if classes:
        raise ValueError(f"{images}: tars say themselves which class an image has; drop `classes`")
    return list_tars(tars)


def require_tars_alone(images: str | Path) -> None:
    """Raise ValueError for a folder of tars that has images, or folders, beside them."""
    if not Path(images).is_dir():
        return
    folders, files, _ = scan(images)
    both = [each.name for each in files if is_image(each.name)]
    both += [each.name for each in folders if each.name != OVERLAYS]
    if both:
        raise ValueError(f"{images}: {both[0]} beside tars; name a folder of one kind")


def shared_keys(source: Source) -> dict[str, list[str]]:
    """Keys that more than one image would have, each with those images' names.

    Compares 64-bit hashes, as a million strings take 100 MB; that two of a million keys share one
    has a chance of 3e-8.
    """
    n = len(source.listed.paths)
    hashes = np.fromiter((hash(key_of(source.stem(i))) for i in range(n)), np.int64, n)
    values, counts = np.unique(hashes, return_counts=True)
    shared: dict[str, list[str]] = {}
    for i in np.flatnonzero(np.isin(hashes, values[counts > 1])).tolist():
        shared.setdefault(key_of(source.stem(i)), []).append(str(source.listed.paths[i]))
    return shared


def require_distinct_keys(source: Source) -> None:
    """Raise ValueError, before hours of work, if two images would have one key."""
    for key, names in shared_keys(source).items():
        raise ValueError(
            f"{' and '.join(names)} have one key, {key!r}; rename or remove one and list the "
            "images again"
        )


class Photograph(NamedTuple):
    """An image file, or what is wrong with it."""

    name: str
    key: str
    data: bytes
    height: int
    width: int
    label: int
    error: str


class Batch(NamedTuple):
    """Photographs, and in groups those that are whole."""

    photographs: list[Photograph]
    groups: list[Group]


class Photographs(Dataset[tuple[Photograph, np.ndarray]]):
    """The images of a source, each with its pixels as a teacher of the input `size` is shown them.

    Keys in `apart` are made distinct by the image's full name.
    """

    def __init__(
        self,
        source: Source,
        size: tuple[int, int],
        *,
        shape: Shape,
        apart: Iterable[str] = (),
    ) -> None:
        self.source, self.size, self.shape = source, size, shape
        self.apart = frozenset(apart)

    @property
    def classes(self) -> list[str]:
        """The names of the classes, in the order of their labels."""
        return self.source.listed.classes

    def __len__(self) -> int:
        return len(self.source.listed.paths)

    def __getitem__(self, index: int) -> tuple[Photograph, np.ndarray]:
        listed = self.source.listed
        name, label, key = str(listed.paths[index]), int(listed.labels[index]), self.key(index)
        place = str(self.source.root / name)
        try:
            data = self.source.read(index)
            decoded = decode(data, name=place)
        except ValueError as broken:
            why = str(broken)
        except (*UNREAD,) as missing:
            why = f"{place}: {UNREAD[type(missing)]}"
        else:
            h, w = decoded.shape[:2]
            shown = show(decoded, self.size, shape=self.shape)
            return Photograph(name, key, data, h, w, label, ""), shown
        # whoever labels decides: stop, or skip
        return Photograph(name, key, b"", 0, 0, label, why), np.zeros(0)

    def key(self, index: int) -> str:
        """The image's key in the shards."""
        key = key_of(self.source.stem(index))
        return key_apart(str(self.source.listed.paths[index])) if key in self.apart else key


def mark_of(photographs: Photographs, rows: range) -> str:
    """Changes with the images that a shard is made of: their names, keys, classes, sizes, times."""
    source, digest = photographs.source, hashlib.sha256()
    for i in rows:
        name, label = str(source.listed.paths[i]), int(source.listed.labels[i])
        row = [name, photographs.key(i), label, *source.stamp(i)]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()[:16]


def collate(items: Sequence[tuple[Photograph, np.ndarray]]) -> Batch:
    """A batch that a worker sends; its pixels pass through shared memory."""
    whole = {row: pixels for row, (each, pixels) in enumerate(items) if not each.error}
    return Batch([each for each, _ in items], group_alike(whole))
