"""Run a frozen encoder over every evaluation set, once; all scores read what this leaves.

    python src/extract_features.py WEIGHTS TRAIN_IMAGES TRAIN_MANIFEST VAL_IMAGES VAL_MANIFEST
        IMAGENET_C CIFAR10 CIFAR10_C FEATURES

IMAGENET_C and CIFAR10_C are benchmarks as published, or as `corrupt_images` generates them. With
ResNet-50 the features of one run take 5 GB for ImageNet's training images and 19 GB for ImageNet-C.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attnlabels.evaluation.extraction import encode_squares, write_features
from attnlabels.evaluation.students import read_encoder
from attnlabels.images.folder import read_manifest
from attnlabels.models.files import read_config
from attnlabels.pipeline.machine import take_threads
from attnlabels.pipeline.params import load, record
from attnlabels.pipeline.script import run
from attnlabels.pipeline.writing import replacing_folder
from attnlabels.processes.world import own_device
from attnlabels.testsets.image_sets import (
    ImageSet,
    Squares,
    cifar10_images,
    corrupted_images,
    listed_images,
)
from attnlabels.testsets.imagenet_c import open_corrupted

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
    take_threads()
    p = load(ExtractFeatures, "extract_features")
    config = read_config(weights, "encoder")
    device = own_device()
    encode = read_encoder(weights, device=device, precision=p.precision)
    # All sets are opened, and so checked, before the hours of the first.
    sets = open_class_folders(train_images, train_manifest, val_images, val_manifest)
    sets += [cifar10_images(cifar10, split=split) for split in SPLITS]
    _, val, _, test = sets
    sets.append(open_benchmark(imagenet_c, "imagenet_c", val))
    sets.append(open_benchmark(cifar10_c, "cifar10_c", test))
    with replacing_folder(out) as aside:
        for each in sets:
            crop = config["eval_crop"] if each.crops else 1.0
            squares = Squares(each, size=config["image_size"], crop=crop, batch_size=p.batch_size)
            blocks = encode_squares(
                squares, encode, workers=p.workers, pin_memory=device.type == "cuda"
            )
            write_features(aside / each.name, each, blocks)


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
    return [
        listed_images("imagenet_train", train_images, train),
        listed_images("imagenet_val", val_images, val),
    ]


def open_benchmark(folder: Path, name: str, clean: ImageSet) -> ImageSet:
    """Corrupted images, made of `clean`, in the layout that params.yaml says."""
    layout = load(Benchmark, "benchmarks", name).layout
    return corrupted_images(name, open_corrupted(folder, layout=layout), clean)


if __name__ == "__main__":
    run(main)
