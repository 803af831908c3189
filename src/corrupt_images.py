"""Generate a corruption benchmark from clean images, in the layout of CIFAR-10-C.

    python src/corrupt_images.py SET IMAGES WHICH OUT

SET is a row of the section `corrupt_images`. IMAGES is a folder of images and WHICH its manifest,
or IMAGES is the folder of CIFAR-10's batches and WHICH the split, `test`. To OUT go
`<corruption>.npy`, uint8 [5n, h, w, 3] with severity 1 first, `labels.npy` and `generated.json`.

Where the published files can be had, use them: scores on generated ones compare only with each
other. An image's corruption depends on the seed, its name, the corruption and the severity alone.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Int64
from pydantic import Field

from attnlabels.images.folder import read_manifest
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder, write_json
from attnlabels.testsets.cifar10 import read_cifar10
from attnlabels.testsets.corruptions import SMALLEST_SIDE, Table
from attnlabels.testsets.generated import provenance, write_clean, write_corrupted, write_labels


@record
class CorruptImages:
    """A row of the section `corrupt_images` of params.yaml."""

    images: str  # these three are passed on by dvc.yaml, or watched by it
    which: str
    watch: str
    seed: int
    layout: Literal["folder", "cifar10"]
    table: Table
    size: Annotated[int, Field(ge=SMALLEST_SIDE)]
    crop: Annotated[float, Field(gt=0, le=1)]
    workers: Annotated[int, Field(ge=0)]


def main(set_name: str, images: Path, which: str, out: Path) -> None:
    p = load(CorruptImages, "corrupt_images", set_name)
    with replacing_folder(out) as aside:
        aside.mkdir()
        clean = aside / "clean.npy"
        prepare = {"folder": prepare_folder, "cifar10": prepare_cifar10}[p.layout]
        names, labels = prepare(clean, images, which, p=p)
        write_corrupted(aside, clean, names, table=p.table, seed=p.seed, workers=p.workers)
        clean.unlink()
        write_labels(aside, labels)
        about = provenance(len(labels), seed=p.seed, table=p.table, size=p.size, crop=p.crop)
        write_json(aside / "generated.json", about)


def prepare_folder(
    clean: Path, images: Path, which: str, *, p: CorruptImages
) -> tuple[list[str], Int64[np.ndarray, "n"]]:
    """Write the images of a manifest, resized and cropped, to `clean`; their names and labels."""
    listed = read_manifest(Path(which))
    names = listed.paths.tolist()
    write_clean(clean, images, names, size=p.size, crop=p.crop, workers=p.workers)
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


if __name__ == "__main__":
    run(main)
