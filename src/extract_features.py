"""Run a frozen encoder over every evaluation set, once; all scores read what this leaves.

    python src/extract_features.py WEIGHTS TRAIN_IMAGES TRAIN_MANIFEST VAL_IMAGES VAL_MANIFEST
        IMAGENET_C CIFAR10 CIFAR10_C FEATURES

IMAGENET_C and CIFAR10_C are benchmarks as published, or as `corrupt_images` generates them. With
ResNet-50 the features of one run take 5 GB for ImageNet's training images and 19 GB for ImageNet-C.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Protocol, TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float16, Int64, UInt8
from pydantic import Field
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.datasets.cifar10 import read_cifar10
from attnlabels.datasets.image_folder import read_manifest
from attnlabels.datasets.images import read_image
from attnlabels.datasets.imagenet_c import open_corrupted
from attnlabels.datasets.squares import resize_centre_crop
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.folding import fold_batch_norm
from attnlabels.params import load, record
from attnlabels.report import replacing, write_json
from attnlabels.script import run

Images: TypeAlias = Sequence[Path] | UInt8[np.ndarray, "n h w 3"]
Features: TypeAlias = Float16[np.ndarray, "n d"]
SPLITS: tuple[Literal["train"], Literal["test"]] = ("train", "test")
WHOLE = ("features",)  # the one part of a clean set


@record
class ExtractFeatures:
    """The section `extract_features` of params.yaml."""

    batch_size: Annotated[int, Field(gt=0)]
    precision: Literal["fp32", "bf16"]
    workers: Annotated[int, Field(ge=0)]


@record
class Benchmark:
    """Where a set of corrupted images is; the section `benchmarks` has one for each."""

    layout: Literal["imagenet_c", "arrays"]
    path: str
    watch: str


def main(
    weights: Path,
    train_images: Path,
    train_manifest: Path,
    val_images: Path,
    val_manifest: Path,
    imagenet_c: Path,
    cifar10: Path,
    cifar10_c: Path,
    out: Path,
) -> None:
    p = load(ExtractFeatures, "extract_features")
    encode = build_encoder(weights, p)
    # All sets are opened, and so checked, before the hours of the first.
    sets = open_class_folders(train_images, train_manifest, val_images, val_manifest)
    sets += [open_cifar10(cifar10, split) for split in SPLITS]
    sets += [open_benchmark(imagenet_c, "imagenet_c"), open_benchmark(cifar10_c, "cifar10_c")]
    with replacing(out) as aside:
        for each in sets:
            folder = aside / each.name
            folder.mkdir(parents=True)
            np.save(folder / "labels.npy", each.labels)
            blocks = encode(each)
            for key in each.parts:
                save_rows(folder / f"{key}.npy", blocks, n=len(each.labels))
            if each.about:
                write_json(folder / "set.json", each.about)


class ImageSet(NamedTuple):
    """A set to encode: `parts` that share their labels, as the severities of a benchmark do."""

    name: str
    parts: Sequence[str]
    images: Callable[[str, slice], Images]  # some of a part
    labels: Int64[np.ndarray, "n"]
    crops: bool  # whether the images are still to be centre-cropped
    about: dict[str, int]


def open_class_folders(
    train_images: Path, train_manifest: Path, val_images: Path, val_manifest: Path
) -> list[ImageSet]:
    """ImageNet's training and validation images."""
    train, val = read_manifest(train_manifest), read_manifest(val_manifest)
    if train.classes != val.classes:
        raise ValueError(
            f"{val_manifest} lists {len(val.classes)} classes and {train_manifest} "
            f"{len(train.classes)}, or others; a classifier needs the same class folders in both"
        )
    train_files = partial(files, train_images, train.paths)
    val_files = partial(files, val_images, val.paths)
    return [
        ImageSet("imagenet_train", WHOLE, train_files, train.labels, True, {}),
        ImageSet("imagenet_val", WHOLE, val_files, val.labels, True, {}),
    ]


def files(folder: Path, paths: np.ndarray, part: str, rows: slice) -> list[Path]:
    """Some of the listed images; `part` is the one there is."""
    return [folder / path for path in paths[rows]]


def open_cifar10(folder: Path, split: Literal["train", "test"]) -> ImageSet:
    """One split of CIFAR-10, whose images are used whole."""
    pixels, labels = read_cifar10(folder, split=split)
    return ImageSet(f"cifar10_{split}", WHOLE, lambda _, rows: pixels[rows], labels, False, {})


def open_benchmark(folder: Path, name: str) -> ImageSet:
    """Corrupted images, which were cropped before they were corrupted."""
    corrupted = open_corrupted(folder, layout=load(Benchmark, "benchmarks", name).layout)
    parts = [f"{each}-{severity}" for each in corrupted.corruptions for severity in range(1, 6)]

    def images(part: str, rows: slice) -> Images:
        corruption, severity = part.rsplit("-", 1)
        return corrupted.images(corruption, int(severity), rows=rows)

    about = {"generated": int(corrupted.generated), "n": len(corrupted.labels)}
    return ImageSet(name, parts, images, corrupted.labels, False, about)


class Squares(Dataset[UInt8[np.ndarray, "n s s 3"]]):
    """A set's images as squares of the encoder's input size, part by part; an item is a batch.

    A batch at a time, as collating image by image costs more than a small network does.
    """

    def __init__(self, images: ImageSet, *, size: int, crop: float, batch_size: int) -> None:
        self.images, self.size, self.crop = images, size, crop
        starts = range(0, len(images.labels), batch_size)
        self.spans = [
            (part, slice(start, start + batch_size)) for part in images.parts for start in starts
        ]

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "n s s 3"]:
        images = self.images.images(*self.spans[index])
        if isinstance(images, np.ndarray) and self.crop == 1:
            if images.shape[1:3] == (self.size, self.size):
                return np.array(images)  # a copy: a slice of a file that is mapped is read only
        pixels = (read_image(each) if isinstance(each, Path) else each for each in images)
        return np.stack([resize_centre_crop(e, size=self.size, crop=self.crop) for e in pixels])


class Encode(Protocol):
    def __call__(self, images: ImageSet) -> Iterator[Features]: ...


def build_encoder(weights: Path, p: ExtractFeatures) -> Encode:
    """A function from a set to the features of its images, in order, a batch at a time."""
    config = read_config(weights, "encoder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[p.precision]
    encoder = Encoder(**config["encoder"])
    load_weights(weights, encoder, prefix="encoder.")
    encoder.eval()
    fold_batch_norm(encoder)
    encoder.to(device, dtype).to(memory_format=torch.channels_last)
    cv2.setNumThreads(0)

    @torch.no_grad()
    def encode(images: ImageSet) -> Iterator[Features]:
        crop = config["eval_crop"] if images.crops else 1.0
        squares = Squares(images, size=config["image_size"], crop=crop, batch_size=p.batch_size)
        loader: DataLoader[Any] = DataLoader(
            squares, batch_size=None, num_workers=p.workers, pin_memory=device.type == "cuda"
        )
        for batch in tqdm(loader, desc=images.name, disable=None):
            pixels = batch.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
            yield features(encoder(pixels.to(dtype))).to(torch.float16).cpu().numpy()

    return encode


def save_rows(path: Path, blocks: Iterator[Features], *, n: int) -> None:
    """Write the next `n` rows of `blocks` as `np.save` would, which needs them all at once.

    Not into a memory map: there a full disk kills the process, here it is an OSError.
    """
    written = 0
    with path.open("wb") as file:
        while written < n:
            block = next(blocks)
            if not written:
                shape = {"shape": (n, block.shape[1]), "fortran_order": False, "descr": "<f2"}
                np.lib.format.write_array_header_1_0(file, shape)
            file.write(block.astype("<f2").tobytes())
            written += len(block)
    assert written == n


if __name__ == "__main__":
    run(main)
