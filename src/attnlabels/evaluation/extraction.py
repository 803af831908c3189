"""Frozen features of whole sets of images: each image encoded exactly once, in order, and kept.

An encoder here is a function of a batch of squares; where it comes from is not known.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from jaxtyping import Float, Float16, Float32, UInt8
from torch import Tensor
from tqdm import tqdm

from attnlabels.pipeline.writing import replacing, write_json
from attnlabels.processes.loading import load
from attnlabels.testsets.image_sets import ImageSet, Squares

FORMAT = 2  # of what is kept: count on when the same images come to give other features

# What rounding to half precision may cost a feature, of its deviation over the images. A feature of
# mean 1 and deviation 0.3 loses 0.0005 of it; one a million times smaller, or 1,000 off 0, all.
MOST_LOST = 2.0**-8

Features: TypeAlias = Float32[np.ndarray, "n d"]
Encode: TypeAlias = Callable[[UInt8[Tensor, "n s s 3"]], Float[Tensor, "n d"]]


def encode_squares(
    squares: Squares, encode: Encode, *, workers: int, pin_memory: bool
) -> Iterator[Features]:
    """The features of a set, part by part and in the set's order, a batch at a time.

    Raises ValueError unless every image comes back once, whatever the number of workers.
    """
    loaded = load(squares, workers=workers, pin_memory=pin_memory, batch_size=None)
    expected = iter(enumerate(squares.spans))
    for number, batch in tqdm(loaded, squares.images.name, len(squares), disable=None):
        wanted, (part, rows) = next(expected, (None, ("the end", slice(0, 0))))
        n = rows.stop - rows.start
        if (number, len(batch)) != (wanted, n):
            raise ValueError(
                f"{squares.images.name}: batch {number} of {len(batch)} images came where "
                f"{wanted} of {n} was due; each image must come once"
            )
        found = encode(batch)
        if len(found) != n:
            raise ValueError(
                f"{squares.images.name}: {len(found)} features for images {rows.start} to "
                f"{rows.stop - 1} of {part}; the encoder must give one row an image"
            )
        yield found.float().cpu().numpy()
    left = sum(1 for _ in expected)
    if left:
        raise ValueError(f"{squares.images.name}: {left} batches of {len(squares)} never came")


def write_features(folder: Path, images: ImageSet, blocks: Iterator[Features]) -> None:
    """Write a set as `attnlabels.evaluation.features` reads it: an array a part, and the labels."""
    folder.mkdir(parents=True)
    _save_labels(folder / "labels.npy", images)
    for part in images.parts:
        _save_rows(folder / f"{part}.npy", blocks, n=len(images.labels))
    _require_end(blocks, images)
    if images.about:
        own = {"of_imagenet": 1} if images.of_imagenet() else {}
        about = {**images.about, **own, "corruptions": images.corruptions()}
        write_json(folder / "set.json", about)


def kept_features(
    images: ImageSet, encode: Callable[[ImageSet], Iterator[Features]], *, folder: Path
) -> Path:
    """The set's features under `folder`, named by what they are made of (see `fingerprint`).

    A part that is there is not encoded again; one is written aside and moved, so that a kill
    loses no more than the part it came in. Returns `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [part for part in images.parts if not (folder / f"{part}.npy").is_file()]
    with replacing(folder / "labels.npy") as aside:
        _save_labels(aside, images)
    if missing:
        blocks = encode(images._replace(parts=missing))
        for part in missing:
            with replacing(folder / f"{part}.npy") as aside:
                _save_rows(aside, blocks, n=len(images.labels))
        _require_end(blocks, images)
    return folder


def fingerprint(images: ImageSet, encoder: Mapping[str, Any]) -> str:
    """A name for the features of `images`: changes with the images, their order or the encoder.

    `encoder` says what the encoder is and how it is shown an image, as JSON can hold it. Of files
    path, size and time of change count, since ImageNet's bytes would take as long to read as to
    encode; of what is in memory, the bytes.
    """
    digest = hashlib.sha256(json.dumps([FORMAT, encoder], sort_keys=True).encode())
    digest.update(json.dumps([images.name, *images.parts, images.crops, images.about]).encode())
    digest.update(images.labels.tobytes())
    read = images.made_from or images
    for part in read.parts:
        for each in _contents(read.images(part, slice(None))):
            digest.update(each)
    return digest.hexdigest()[:32]


def _contents(images: Any) -> Iterator[bytes]:
    if isinstance(images, np.memmap):
        yield _stamp(Path(str(images.filename)))
    elif isinstance(images, np.ndarray):
        yield np.ascontiguousarray(images).tobytes()
    else:
        yield from map(_stamp, images)


def _stamp(path: Path) -> bytes:
    status = path.stat()
    return f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\0".encode()


def _require_end(blocks: Iterator[Features], images: ImageSet) -> None:
    for block in blocks:  # at whose end the count is checked
        raise ValueError(f"{images.name}: {len(block)} features more than images")


def _save_labels(path: Path, images: ImageSet) -> None:
    data = io.BytesIO()
    np.save(data, images.labels)
    path.write_bytes(data.getvalue())  # np.save itself says nothing of a disk that gets full


def _save_rows(path: Path, blocks: Iterator[Features], *, n: int) -> None:
    """Write the next `n` rows of `blocks` as `np.save` would, which needs them all at once.

    In half precision, which is half of 38 GB for ImageNet-C, unless it would cost more than
    `MOST_LOST`: then in single. That is known at the end, and so both are written, one to stay.
    Not into a memory map: there a full disk kills the process, here it is an OSError.
    """
    halves = path.with_name(f"{path.name}.half")
    try:
        with path.open("wb") as wide, halves.open("wb") as narrow:
            rounding = _save_both(wide, narrow, blocks, n=n)
        if rounding.harmless():
            halves.replace(path)
    finally:
        halves.unlink(missing_ok=True)


def _save_both(
    wide: BinaryIO, narrow: BinaryIO, blocks: Iterator[Features], *, n: int
) -> "Rounding":
    written, rounding = 0, Rounding()
    while written < n:
        block = next(blocks)
        with np.errstate(over="ignore"):  # an infinity is seen as a loss
            rounded = block.astype(np.float16)
        for file, rows, kind in ((wide, block, "<f4"), (narrow, rounded, "<f2")):
            if not written:
                shape = {"shape": (n, block.shape[1]), "fortran_order": False, "descr": kind}
                np.lib.format.write_array_header_1_0(file, shape)
            file.write(rows.astype(kind, copy=False).tobytes())
        rounding.add(block, rounded)
        written += len(block)
    assert written == n
    return rounding


class Rounding:
    """What features lose in half precision, beside their deviation over the images seen."""

    def __init__(self) -> None:
        self.n = 0
        self.sum: Any = 0.0  # of each feature, from the first image's
        self.squares: Any = 0.0
        self.lost: Any = 0.0  # sum of squares

    def add(self, rows: Features, rounded: Float16[np.ndarray, "n d"]) -> None:
        """More images' features, exactly and rounded."""
        x = rows.astype(np.float64)
        if not self.n:
            self.first = x[0].copy()
        self.n += len(x)
        self.lost += ((rounded - x) ** 2).sum(axis=0)
        x -= self.first
        self.sum += x.sum(axis=0)
        self.squares += (x**2).sum(axis=0)

    def harmless(self) -> bool:
        """Whether no feature loses more than `MOST_LOST`; one that is constant cannot."""
        variance = self.squares / self.n - (self.sum / self.n) ** 2
        kept = (variance == 0) | (self.lost / self.n <= MOST_LOST**2 * variance)
        return bool((np.isfinite(self.lost) & kept).all())
