"""The data sets that an encoder is scored on, opened and so checked before the first is encoded."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attnlabels.images.folder import Manifest, list_images
from attnlabels.images.listed import read_listed
from attnlabels.testsets.image_sets import (
    ImageSet,
    cifar10_images,
    corrupted_images,
    generated_images,
    listed_images,
)
from attnlabels.testsets.imagenet_c import open_corrupted

# ImageNet-C was made of images resized to 256 and cropped to 224, whatever will look at them; and
# CIFAR-10-C of CIFAR-10 as it is.
GENERATED: dict[str, dict[str, Any]] = {
    "imagenet": {"table": "imagenet", "size": 224, "crop": 0.875},
    "cifar10": {"table": "cifar", "size": 32, "crop": 1.0},
}


class Opened(NamedTuple):
    """One data set's images to train a classifier on, to test it on, and those corrupted."""

    train: ImageSet | None
    test: ImageSet
    corrupted: ImageSet | None
    classes: Sequence[str] = ()  # the labels' names, if they have any


def open_sets(
    imagenet: Path | None,
    imagenet_c: Path | None,
    imagenet_labels: Path | None,
    cifar10: Path | None,
    cifar10_c: Path | None,
    *,
    on: Sequence[str],
    seed: int,
) -> dict[str, Opened]:
    """What the benchmarks `on` need of the sets that are given, by "imagenet" and "cifar10".

    `imagenet_labels` is a CSV of labels in place of class folders (`attnlabels.images.listed`).
    Corrupted images that are needed and not given are generated with `seed`. Raises ValueError or
    OSError if there are no images for a benchmark of images, or a folder is not as it should be.
    """
    of_images = [each for each in on if each != "alignment"]
    needs: dict[str, Any] = {
        "train": bool({*on} & {"probe", "knn", "robustness"}),
        "corrupted": bool({*on} & {"robustness", "retrieval-c"}),
        "seed": seed,
    }
    sets: dict[str, Opened] = {}
    if imagenet and of_images:
        sets["imagenet"] = open_imagenet(imagenet, imagenet_c, labels=imagenet_labels, **needs)
    if cifar10 and of_images:
        sets["cifar10"] = open_cifar10(cifar10, cifar10_c, **needs)
    if imagenet_labels and not imagenet:
        raise ValueError(f"{imagenet_labels}: labels of which images? give imagenet, their folder")
    if of_images and not sets:
        raise ValueError(f"{', '.join(of_images)}: on which images? give imagenet, cifar10 or both")
    return sets


def open_imagenet(
    folder: Path,
    imagenet_c: Path | None,
    *,
    labels: Path | None,
    train: bool,
    corrupted: bool,
    seed: int,
) -> Opened:
    """The images of `folder` in the classes of its folders or of `labels`, and those corrupted."""
    listed = read_listed(labels, folder) if labels else list_splits(folder, train=train)
    root = {split: folder if labels else folder / split for split in listed}
    sets = {
        split: listed_images(f"imagenet_{split}", root[split], each)
        for split, each in listed.items()
    }
    classes = listed["val"].classes
    spoilt = None
    if corrupted:
        spoilt = _corrupted("imagenet", sets["val"], imagenet_c, seed=seed)
    return Opened(sets["train"] if train else None, sets["val"], spoilt, classes)


def list_splits(folder: Path, *, train: bool) -> dict[str, Manifest]:
    """The class folders of `folder/train`, if asked, and of `folder/val`."""
    listed = {
        split: list_images(folder / split, classes=None)
        for split in (("train", "val") if train else ("val",))
    }
    unlike = {*listed["val"].classes} ^ {*listed.get("train", listed["val"]).classes}
    if unlike:
        raise ValueError(
            f"{folder}: {min(unlike)} is a class folder of only one of train and val; a classifier "
            "needs the same in both"
        )
    return listed


def open_cifar10(
    folder: Path, cifar10_c: Path | None, *, train: bool, corrupted: bool, seed: int
) -> Opened:
    """CIFAR-10's batches, and the test images corrupted."""
    test = cifar10_images(folder, split="test")
    spoilt = None
    if corrupted:
        spoilt = _corrupted("cifar10", test, cifar10_c, seed=seed)
    return Opened(cifar10_images(folder, split="train") if train else None, test, spoilt)


def _corrupted(key: str, clean: ImageSet, folder: Path | None, *, seed: int) -> ImageSet:
    """The corrupted images in `folder`, of either layout, or generated ones where there is none."""
    name = f"{key}_c"
    if folder is None:
        return generated_images(name, clean, seed=seed, **GENERATED[key])
    layout: Literal["arrays", "imagenet_c"] = (
        "arrays" if (folder / "labels.npy").is_file() else "imagenet_c"
    )
    return corrupted_images(name, open_corrupted(folder, layout=layout), clean)
