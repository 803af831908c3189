"""Generate a corruption benchmark from clean images, in the layout of CIFAR-10-C.

    python src/corrupt_images.py SET IMAGES WHICH OUT

SET is a row of the section `corrupt_images`. IMAGES is a folder of images and WHICH its manifest,
or IMAGES is the folder of CIFAR-10's batches and WHICH the split, `test`. To OUT go
`<corruption>.npy`, uint8 [5n, h, w, 3] with severity 1 first, `labels.npy` and `generated.json`.

Where the published files can be had, use them: scores on generated ones compare only with each
other. An image's corruption depends on the seed, its name, the corruption and the severity alone.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from jaxtyping import Int64
from numpy.lib.format import open_memmap
from pydantic import Field
from tqdm import tqdm

from attnlabels.images.decoding import read_image
from attnlabels.images.folder import read_manifest
from attnlabels.images.squares import resize_centre_crop
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing, write_json
from attnlabels.testsets.cifar10 import read_cifar10
from attnlabels.testsets.corruptions import (
    CORRUPTIONS,
    EXTRA,
    SEVERITIES,
    SMALLEST_SIDE,
    corrupt,
    rng_for,
)

BLOCK = 250  # images a job: large against the cost of handing it out, small against a set
Job = TypeVar("Job")


@record
class CorruptImages:
    """A row of the section `corrupt_images` of params.yaml."""

    images: str  # these three are passed on by dvc.yaml, or watched by it
    which: str
    watch: str
    seed: int
    layout: Literal["folder", "cifar10"]
    table: Literal["imagenet", "cifar", "tiny"]
    size: Annotated[int, Field(ge=SMALLEST_SIDE)]
    crop: Annotated[float, Field(gt=0, le=1)]
    workers: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Images first, first + 1 ... of the clean array are to be read from `files`."""

    clean: Path
    files: Sequence[Path]
    first: int
    size: int
    crop: float


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """Images first, first + 1 ... of the clean array are to be corrupted into `array`."""

    clean: Path
    array: Path
    names: Sequence[str]
    first: int
    corruption: str
    severity: int
    table: Literal["imagenet", "cifar", "tiny"]
    seed: int


def main(set_name: str, images: Path, which: str, out: Path) -> None:
    p = load(CorruptImages, "corrupt_images", set_name)
    with replacing(out) as aside:
        aside.mkdir()
        clean = aside / "clean.npy"
        prepare = {"folder": prepare_folder, "cifar10": prepare_cifar10}[p.layout]
        names, labels = prepare(clean, images, which, p=p)
        write_corrupted(aside, clean, names, p=p)
        clean.unlink()
        kind = np.uint8 if labels.max() < 256 else np.int32
        np.save(aside / "labels.npy", np.tile(labels, len(SEVERITIES)).astype(kind))
        write_json(aside / "generated.json", provenance(p, n=len(labels)))


def prepare_folder(
    clean: Path, images: Path, which: str, *, p: CorruptImages
) -> tuple[list[str], Int64[np.ndarray, "n"]]:
    """Write the images of a manifest, resized and cropped, to `clean`; their names and labels."""
    listed = read_manifest(Path(which))
    names = listed.paths.tolist()
    open_memmap(clean, "w+", np.uint8, (len(names), p.size, p.size, 3))
    jobs = [
        Preparation(
            clean=clean,
            files=[images / name for name in names[first : first + BLOCK]],
            first=first,
            size=p.size,
            crop=p.crop,
        )
        for first in range(0, len(names), BLOCK)
    ]
    do_all(prepare_block, jobs, workers=p.workers, desc="images")
    return names, listed.labels


def prepare_cifar10(
    clean: Path, images: Path, which: str, *, p: CorruptImages
) -> tuple[list[str], Int64[np.ndarray, "n"]]:
    """Write the images of one split of CIFAR-10 to `clean`; their names and labels."""
    if which != "test":
        raise ValueError(f"CIFAR-10-C is made of the split 'test', not of {which!r}; say `test`")
    pixels, labels = read_cifar10(images, split="test")
    if (p.size, p.crop) != (pixels.shape[1], 1):
        raise ValueError(
            f"params.yaml: CIFAR-10 is corrupted as it is, {pixels.shape[1]} px and uncropped; "
            f"set size to {pixels.shape[1]} (is {p.size}) and crop to 1.0 (is {p.crop})"
        )
    np.save(clean, pixels)
    return [f"{which}/{row}" for row in range(len(pixels))], labels


def prepare_block(job: Preparation) -> None:
    clean = open_memmap(job.clean, "r+")
    for row, file in enumerate(job.files, start=job.first):
        clean[row] = resize_centre_crop(read_image(file), size=job.size, crop=job.crop)


def write_corrupted(folder: Path, clean: Path, names: Sequence[str], *, p: CorruptImages) -> None:
    """One array a corruption, filled in blocks that do not depend on each other."""
    n, *shape = np.load(clean, mmap_mode="r").shape
    for corruption in (*CORRUPTIONS, *EXTRA):
        array = folder / f"{corruption}.npy"
        open_memmap(array, "w+", np.uint8, (len(SEVERITIES) * n, *shape))
    jobs = [
        Corruption(
            clean=clean,
            array=folder / f"{corruption}.npy",
            names=names[first : first + BLOCK],
            first=first,
            corruption=corruption,
            severity=severity,
            table=p.table,
            seed=p.seed,
        )
        for corruption, severity in product((*CORRUPTIONS, *EXTRA), SEVERITIES)
        for first in range(0, n, BLOCK)
    ]
    do_all(corrupt_block, jobs, workers=p.workers, desc="corruptions")


def corrupt_block(job: Corruption) -> None:
    clean = np.load(job.clean, mmap_mode="r")
    array = open_memmap(job.array, "r+")
    start = (job.severity - 1) * len(clean)
    for row, name in enumerate(job.names, start=job.first):
        array[start + row] = corrupt(
            np.array(clean[row]),
            corruption=job.corruption,
            severity=job.severity,
            table=job.table,
            rng=rng_for(job.seed, name, corruption=job.corruption, severity=job.severity),
        )


def do_all(
    function: Callable[[Job], None], jobs: Sequence[Job], *, workers: int, desc: str
) -> None:
    """Call `function` on each job, in this process if `workers` is 0."""
    if workers == 0:
        exhaust(map(function, jobs), desc=desc, total=len(jobs))
        return
    # spawn: a forked child would inherit OpenCV's threads in an unknown state
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        exhaust(pool.map(function, jobs), desc=desc, total=len(jobs))


def exhaust(done: Iterable[None], *, desc: str, total: int) -> None:
    for _ in tqdm(done, desc=desc, total=total, disable=None):
        pass


def provenance(p: CorruptImages, *, n: int) -> dict[str, object]:
    return {
        "generated": 1,
        "seed": p.seed,
        "table": p.table,
        "size": p.size,
        "crop": p.crop,
        "n": n,
        "severities": list(SEVERITIES),
        "corruptions": [*CORRUPTIONS, *EXTRA],
    }


if __name__ == "__main__":
    run(main)
