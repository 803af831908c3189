"""A corruption benchmark made of clean images, in the layout of CIFAR-10-C.

Clean images are written to one array; from it one array a corruption is filled, in blocks that do
not depend on each other, on any number of processes. An image's corruption depends on the seed,
its name, the corruption and the severity alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Int64
from numpy.lib.format import open_memmap
from tqdm import tqdm

from attnlabels.images.decoding import read_image
from attnlabels.images.squares import resize_centre_crop
from attnlabels.processes.workers import pool
from attnlabels.testsets.corruptions import (
    CORRUPTIONS,
    EXTRA,
    SEVERITIES,
    Table,
    corrupt,
    rng_for,
)

BLOCK = 250  # images a job: large against the cost of handing it out, small against a set
Job = TypeVar("Job")


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
    table: Table
    seed: int


def write_clean(
    clean: Path, images: Path, names: Sequence[str], *, size: int, crop: float, workers: int
) -> None:
    """Write images, by their names in the folder `images`, to the array `clean` [n, size, size, 3].

    They are resized and cropped as an evaluation sees them, `crop` a share of the shorter side.
    Raises ValueError that names an image that cannot be read.
    """
    open_memmap(clean, "w+", np.uint8, (len(names), size, size, 3))
    jobs = [
        Preparation(
            clean=clean,
            files=[images / name for name in names[first : first + BLOCK]],
            first=first,
            size=size,
            crop=crop,
        )
        for first in range(0, len(names), BLOCK)
    ]
    do_all(prepare_block, jobs, workers=workers, desc="images")


def prepare_block(job: Preparation) -> None:
    clean = open_memmap(job.clean, "r+")
    for row, file in enumerate(job.files, start=job.first):
        clean[row] = resize_centre_crop(read_image(file), size=job.size, crop=job.crop)


def write_corrupted(
    folder: Path, clean: Path, names: Sequence[str], *, table: Table, seed: int, workers: int
) -> None:
    """Write `<corruption>.npy`, uint8 [5n, h, w, 3] with severity 1 first, of the array `clean`.

    `names` are the images', which their noise depends on.
    """
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
            table=table,
            seed=seed,
        )
        for corruption, severity in product((*CORRUPTIONS, *EXTRA), SEVERITIES)
        for first in range(0, n, BLOCK)
    ]
    do_all(corrupt_block, jobs, workers=workers, desc="corruptions")


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
    with pool(workers) as processes:
        exhaust(processes.map(function, jobs), desc=desc, total=len(jobs))


def exhaust(done: Iterable[None], *, desc: str, total: int) -> None:
    for _ in tqdm(done, desc=desc, total=total, disable=None):
        pass


def write_labels(folder: Path, labels: Int64[np.ndarray, "n"]) -> None:
    """Write `labels.npy`, once a severity, in the narrower of the two types that hold them."""
    kind = np.uint8 if labels.max() < 256 else np.int32
    np.save(folder / "labels.npy", np.tile(labels, len(SEVERITIES)).astype(kind))


def provenance(
    n: int, *, seed: int, table: Table, size: int, crop: float
) -> dict[str, int | float | str | list[int] | list[str]]:
    """What `generated.json` says of `n` images: that and how they were generated."""
    return {
        "generated": 1,
        "seed": seed,
        "table": table,
        "size": size,
        "crop": crop,
        "n": n,
        "severities": list(SEVERITIES),
        "corruptions": [*CORRUPTIONS, *EXTRA],
    }
