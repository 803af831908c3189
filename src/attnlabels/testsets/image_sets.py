"""Sets of images to run a frozen encoder over, whatever they lie in; read a batch at a time."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8
from torch.utils.data import Dataset

from attnlabels.images.decoding import read_image
from attnlabels.images.folder import STRINGS, Manifest
from attnlabels.images.squares import Interpolation, resize_centre_crop
from attnlabels.pipeline.code import digest_of
from attnlabels.testsets import corruptions
from attnlabels.testsets.cifar10 import read_cifar10
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA, Table, corrupt, rng_for
from attnlabels.testsets.imagenet_c import SEVERITIES, CorruptedArrays, CorruptedFolder, Names

Images: TypeAlias = Sequence[Path] | UInt8[np.ndarray, "n h w 3"]
# SHA-256 of the WordNet names of ImageNet's 1,000 classes (ILSVRC 2012), sorted, one a line; timm
# has them in data/_info/imagenet_synsets.txt.
IMAGENETS_CLASSES = "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"
WHOLE = ("features",)  # the one part of a clean set


class ImageSet(NamedTuple):
    """A set to encode: `parts` that share their labels, as the severities of a benchmark do."""

    name: str
    parts: Sequence[str]
    images: Callable[[str, slice], Images]  # some of a part
    labels: Int64[np.ndarray, "n"]
    crops: bool  # whether the images are still to be centre-cropped
    about: dict[str, int | float | str]
    names: Names  # of the images, in the order of the labels
    classes: Sequence[str] = ()  # the labels' names, if they have any
    made_from: "ImageSet | None" = None  # where its images tell what these are, and are cheaper

    def without(self, rows: Collection[int]) -> "ImageSet":
        """The images but those of `rows`, of every part; `about` says which are left out."""
        if not rows:
            return self
        keep = np.delete(np.arange(len(self.labels)), sorted(rows))
        left_out = json.dumps([str(self.names[row]) for row in sorted(rows)])
        about = {**self.about, "left_out": hashlib.sha256(left_out.encode()).hexdigest()}
        if "n" in about:
            about["n"] = len(keep)
        return self._replace(
            images=partial(_chosen, self.images, keep),
            labels=self.labels[keep],
            about=about,
            names=np.array(self.names, STRINGS)[keep],
            made_from=self.made_from or self,
        )

    def digest(self) -> str:
        """The SHA-256 of its images' names and classes, in their order."""
        told = [[str(each) for each in self.names], self.labels.tolist(), [*self.classes]]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def of_imagenet(self) -> bool:
        """Whether the classes are ImageNet's 1,000, by their names, and each has an image."""
        digest = hashlib.sha256("\n".join(self.classes).encode()).hexdigest()
        return digest == IMAGENETS_CLASSES and len(np.unique(self.labels)) == len(self.classes)

    def corruptions(self) -> list[str]:
        """Of a corrupted set, whose parts are `<corruption>-<severity>`."""
        return [*dict.fromkeys(part.rpartition("-")[0] for part in self.parts)]


def listed_images(name: str, folder: Path, listed: Manifest) -> ImageSet:
    """The listed images of a folder of class folders."""
    read = partial(_files, folder, listed.paths)
    return ImageSet(name, WHOLE, read, listed.labels, True, {}, listed.paths, listed.classes)


def cifar10_images(folder: Path, *, split: Literal["train", "test"]) -> ImageSet:
    """One split of CIFAR-10, whose images are used whole."""
    pixels, labels = read_cifar10(folder, split=split)
    names = [f"{split}/{row}" for row in range(len(labels))]
    read = partial(_rows, pixels)
    return ImageSet(f"cifar10_{split}", WHOLE, read, labels, False, {}, names)


def corrupted_images(
    name: str, corrupted: CorruptedArrays | CorruptedFolder, clean: ImageSet
) -> ImageSet:
    """Corrupted images on disk, made of `clean` and in its order; they were cropped before.

    Raises ValueError if they were made of other images, as far as names or labels tell.
    """
    corrupted = corrupted.made_of(clean.names, clean.labels, of=clean.name)
    about: dict[str, int | float | str] = {
        "generated": int(corrupted.generated),
        "n": len(corrupted.labels),
    }
    parts = parts_of(corrupted.corruptions)
    read = partial(_part, corrupted)
    return ImageSet(name, parts, read, corrupted.labels, False, about, clean.names, clean.classes)


def generated_images(
    name: str,
    clean: ImageSet,
    *,
    table: Table,
    size: int,
    crop: float,
    seed: int,
) -> ImageSet:
    """`clean`, cropped to `size` and under all 19 corruptions, made as they are asked for.

    An image's corruption depends on its name, the seed, the corruption and the severity alone, and
    so on no number of workers. It is what `corrupt_images` writes. `about` tells the code that
    draws them too, since features of them may be kept.
    """
    about: dict[str, int | float | str] = {
        "generated": 1,
        "n": len(clean.labels),
        "seed": seed,
        "table": table,
        "size": size,
        "crop": crop,
        "code": digest_of(Path(corruptions.__file__)),
    }
    draw = partial(_generated, clean, table=table, size=size, crop=crop, seed=seed)
    parts = parts_of((*CORRUPTIONS, *EXTRA))
    return ImageSet(
        name, parts, draw, clean.labels, False, about, clean.names, clean.classes, made_from=clean
    )


def parts_of(corruptions: Sequence[str]) -> list[str]:
    """The parts of a corrupted set, `<corruption>-<severity>`."""
    return [f"{each}-{severity}" for each in corruptions for severity in SEVERITIES]


class Squares(Dataset[tuple[int, UInt8[np.ndarray, "n s s 3"]]]):
    """A set's images as squares of the encoder's input size, part by part; an item is a batch.

    A batch at a time, as collating image by image costs more than a small network does. With it
    comes its number, so that who reads through a loader can tell that none is lost or doubled.
    """

    def __init__(
        self,
        images: ImageSet,
        *,
        size: int,
        crop: float,
        batch_size: int,
        interpolation: Interpolation = "bicubic",
    ) -> None:
        self.images, self.size, self.crop = images, size, crop
        self.interpolation: Interpolation = interpolation
        n = len(images.labels)
        self.spans = [
            (part, slice(start, min(start + batch_size, n)))
            for part in images.parts
            for start in range(0, n, batch_size)
        ]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> tuple[int, UInt8[np.ndarray, "n s s 3"]]:
        return index, self._squares(self.images.images(*self.spans[index]))

    def _squares(self, images: Images) -> UInt8[np.ndarray, "n s s 3"]:
        side = self.size
        if isinstance(images, np.ndarray) and self.crop == 1 and images.shape[1:3] == (side, side):
            return np.array(images)  # a copy: a slice of a file that is mapped is read only
        view = partial(
            resize_centre_crop, size=self.size, crop=self.crop, interpolation=self.interpolation
        )
        return np.stack([view(each) for each in _pixels(images)])


# Functions of a module, as a loader's workers may be started anew and not forked.
def _files(folder: Path, paths: np.ndarray, part: str, rows: slice) -> list[Path]:
    return [folder / path for path in paths[rows]]


def _chosen(
    read: Callable[[str, slice], Images], keep: Int64[np.ndarray, "k"], part: str, rows: slice
) -> Images:
    chosen = keep[rows]
    runs = np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1)
    pieces = [read(part, slice(int(run[0]), int(run[-1]) + 1)) for run in runs if len(run)]
    arrays = [piece for piece in pieces if isinstance(piece, np.ndarray)]
    return np.concatenate(arrays) if arrays else [*chain.from_iterable(pieces)]


def _rows(pixels: UInt8[np.ndarray, "m h w 3"], part: str, rows: slice) -> Images:
    return pixels[rows]


def _pixels(images: Images) -> Iterator[UInt8[np.ndarray, "_ _ 3"]]:
    return (read_image(each) if isinstance(each, Path) else each for each in images)


def _generated(
    clean: ImageSet,
    part: str,
    rows: slice,
    *,
    table: Table,
    size: int,
    crop: float,
    seed: int,
) -> UInt8[np.ndarray, "n s s 3"]:
    corruption, severity = part.rsplit("-", 1)
    pixels = _pixels(clean.images(WHOLE[0], rows))
    return np.stack(
        [
            corrupt(
                resize_centre_crop(each, size=size, crop=crop),
                corruption=corruption,
                severity=int(severity),
                table=table,
                rng=rng_for(seed, name, corruption=corruption, severity=int(severity)),
            )
            for name, each in zip(clean.names[rows], pixels, strict=True)
        ]
    )


def _part(corrupted: CorruptedArrays | CorruptedFolder, part: str, rows: slice) -> Images:
    corruption, severity = part.rsplit("-", 1)
    return corrupted.images(corruption, int(severity), rows=rows)
