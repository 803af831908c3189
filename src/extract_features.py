"""Run a frozen encoder over every evaluation set, once; all scores read what this leaves.

    python src/extract_features.py WEIGHTS TRAIN_IMAGES TRAIN_MANIFEST VAL_IMAGES VAL_MANIFEST
        IMAGENET_C CIFAR10 CIFAR10_C FEATURES

IMAGENET_C and CIFAR10_C are benchmarks as published, or as `corrupt_images` generates them. With
ResNet-50 the features of one run take 5 GB for ImageNet's training images and 19 GB for ImageNet-C.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

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
    train, val = read_manifest(train_manifest), read_manifest(val_manifest)
    if train.classes != val.classes:
        raise ValueError(
            f"{val_manifest} lists {len(val.classes)} classes and {train_manifest} "
            f"{len(train.classes)}, or others; a classifier needs the same class folders in both"
        )
    with replacing(out) as aside:
        for name, images, listed in (
            ("imagenet_train", train_images, train),
            ("imagenet_val", val_images, val),
        ):
            files = [images / path for path in listed.paths]
            write_set(aside / name, {"features": encode(files)}, listed.labels)
        for split in SPLITS:
            pixels, labels = read_cifar10(cifar10, split=split)
            write_set(aside / f"cifar10_{split}", {"features": encode(pixels)}, labels)
        for name, folder in (("imagenet_c", imagenet_c), ("cifar10_c", cifar10_c)):
            corrupted = open_corrupted(folder, layout=load(Benchmark, "benchmarks", name).layout)
            found = {
                f"{corruption}-{severity}": encode(corrupted.images(corruption, severity))
                for corruption in tqdm(corrupted.corruptions, desc=name, disable=None)
                for severity in range(1, 6)
            }
            write_set(aside / name, found, corrupted.labels)
            about = {"generated": int(corrupted.generated), "n": len(corrupted.labels)}
            write_json(aside / name / "set.json", about)


def write_set(
    folder: Path, found: dict[str, Float16[np.ndarray, "n d"]], labels: Int64[np.ndarray, "n"]
) -> None:
    """Features, a file each, beside the labels that they share."""
    folder.mkdir(parents=True)
    for name, rows in found.items():
        np.save(folder / f"{name}.npy", rows)
    np.save(folder / "labels.npy", labels)


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
        if image.shape[:2] == (self.size, self.size):
            return np.array(image)  # a copy: a slice of a file that is mapped is read only
        return resize_centre_crop(image, size=self.size, crop=self.crop)


def build_encoder(weights: Path, p: ExtractFeatures) -> Callable[[Images], Features]:
    """A function from images to their features, in order, each image once."""
    config = read_config(weights, "encoder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    encoder = Encoder(**config["encoder"])
    load_weights(weights, encoder, prefix="encoder.")
    encoder.eval().to(device).to(memory_format=torch.channels_last)
    cv2.setNumThreads(0)

    @torch.no_grad()
    def encode(images: Images) -> Features:
        crop = config["eval_crop"] if isinstance(images[0], Path) else 1.0
        pictures = Pictures(images, size=config["image_size"], crop=crop)
        found = np.empty((len(pictures), encoder.n_features), np.float16)
        loader = DataLoader(pictures, batch_size=p.batch_size, num_workers=p.workers)
        first = 0
        for batch in tqdm(loader, desc="features", disable=None, leave=False):
            pixels = batch.to(device).permute(0, 3, 1, 2).float() / 255
            with torch.autocast(device.type, torch.bfloat16, enabled=p.precision == "bf16"):
                stages = encoder(pixels)
            found[first : first + len(batch)] = features(stages).float().cpu().numpy()
            first += len(batch)
        assert first == len(pictures)
        return found

    return encode


if __name__ == "__main__":
    run(main)
