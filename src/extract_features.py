"""Run a frozen encoder over every evaluation set, once; all scores read what this leaves.

    python src/extract_features.py WEIGHTS TRAIN_IMAGES TRAIN_MANIFEST VAL_IMAGES VAL_MANIFEST
        IMAGENET_C CIFAR10 CIFAR10_C FEATURES

IMAGENET_C and CIFAR10_C are benchmarks as published, or as `corrupt_images` generates them. With
ResNet-50 the features of one run take 5 GB for ImageNet's training images and 19 GB for ImageNet-C.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol, TypeAlias

import cv2
import numpy as np
import torch
from jaxtyping import Float16, Int64, UInt8
from pydantic import Field
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from attnlabels.datasets.cifar10 import read_cifar10
from attnlabels.datasets.image_folder import read_manifest
from attnlabels.datasets.images import read_image, resize_centre_crop
from attnlabels.datasets.imagenet_c import open_corrupted
from attnlabels.models.encoder import Encoder, features
from attnlabels.models.files import load_weights, read_config
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
            for key in tqdm(each.parts, desc=each.name, disable=None):
                np.save(folder / f"{key}.npy", encode(each.images(key), crops=each.crops))
            if each.about:
                write_json(folder / "set.json", each.about)


class ImageSet(NamedTuple):
    """A set to encode: `parts` that share their labels, as the severities of a benchmark do."""

    name: str
    parts: Sequence[str]
    images: Callable[[str], Images]  # of a part
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
    train_files = [train_images / path for path in train.paths]
    val_files = [val_images / path for path in val.paths]
    return [
        ImageSet("imagenet_train", WHOLE, lambda _: train_files, train.labels, True, {}),
        ImageSet("imagenet_val", WHOLE, lambda _: val_files, val.labels, True, {}),
    ]


def open_cifar10(folder: Path, split: Literal["train", "test"]) -> ImageSet:
    """One split of CIFAR-10, whose images are used whole."""
    pixels, labels = read_cifar10(folder, split=split)
    return ImageSet(f"cifar10_{split}", WHOLE, lambda _: pixels, labels, False, {})


def open_benchmark(folder: Path, name: str) -> ImageSet:
    """Corrupted images, which were cropped before they were corrupted."""
    corrupted = open_corrupted(folder, layout=load(Benchmark, "benchmarks", name).layout)
    parts = [f"{each}-{severity}" for each in corrupted.corruptions for severity in range(1, 6)]

    def images(part: str) -> Images:
        corruption, severity = part.rsplit("-", 1)
        return corrupted.images(corruption, int(severity))

    about = {"generated": int(corrupted.generated), "n": len(corrupted.labels)}
    return ImageSet(name, parts, images, corrupted.labels, False, about)


class Pictures(Dataset[UInt8[np.ndarray, "s s 3"]]):
    """Files or arrays as squares of the encoder's input size."""

    def __init__(self, images: Images, *, size: int, crop: float) -> None:
        self.images, self.size, self.crop = images, size, crop

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> UInt8[np.ndarray, "s s 3"]:
        image = self.images[index]
        if isinstance(image, Path):
            image = read_image(image)
        if self.crop == 1 and image.shape[:2] == (self.size, self.size):
            return np.array(image)  # a copy: a slice of a file that is mapped is read only
        return resize_centre_crop(image, size=self.size, crop=self.crop)


class Encode(Protocol):
    def __call__(self, images: Images, *, crops: bool) -> Features: ...


def build_encoder(weights: Path, p: ExtractFeatures) -> Encode:
    """A function from images to their features, in order, each image once."""
    config = read_config(weights, "encoder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = Encoder(**config["encoder"])
    load_weights(weights, encoder, prefix="encoder.")
    encoder.eval().to(device).to(memory_format=torch.channels_last)
    cv2.setNumThreads(0)

    @torch.no_grad()
    def encode(images: Images, *, crops: bool) -> Features:
        crop = config["eval_crop"] if crops else 1.0
        pictures = Pictures(images, size=config["image_size"], crop=crop)
        found = np.empty((len(pictures), encoder.n_features), np.float16)
        loader = DataLoader(pictures, batch_size=p.batch_size, num_workers=p.workers)
        first = 0
        for batch in tqdm(loader, desc="features", disable=None, leave=False):
            pixels = batch.to(device).permute(0, 3, 1, 2).float() / 255
            with torch.autocast(device.type, torch.bfloat16, enabled=p.precision == "bf16"):
                stages = encoder(pixels)
            found[first : first + len(batch)] = features(stages).cpu().numpy()
            first += len(batch)
        assert first == len(pictures)
        return found

    return encode


if __name__ == "__main__":
    run(main)
