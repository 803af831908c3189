"""The data sets that an encoder is scored on, opened and so checked before the first is encoded."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attnlabels.evaluation.extraction import fingerprint
from attnlabels.images import decoding
from attnlabels.images.broken import Broken
from attnlabels.images.folder import Manifest, list_images
from attnlabels.images.listed import read_listed
from attnlabels.images.names import some_of
from attnlabels.pipeline.code import digest_of
from attnlabels.testsets.cifar10 import CLASSES
from attnlabels.testsets.image_sets import (
    ImageSet,
    cifar10_images,
    corrupted_images,
    generated_images,
    listed_images,
)
from attnlabels.testsets.imagenet_c import open_corrupted
from attnlabels.testsets.whole import Faults, describe, find_faults, lies_in_files

log = logging.getLogger(__name__)
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

    @property
    def images(self) -> list[ImageSet]:
        return self.clean if self.corrupted is None else [*self.clean, self.corrupted]

    @property
    def clean(self) -> list[ImageSet]:
        """Those that are not corrupted."""
        return [self.test] if self.train is None else [self.train, self.test]


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
    OSError if there are no images for a benchmark of images, images for none, or a folder is not as
    it should be.
    """
    of_images = [each for each in on if each != "alignment"]
    needs: dict[str, Any] = {
        "train": bool({*on} & {"probe", "knn", "robustness"}),
        "corrupted": bool({*on} & {"robustness", "retrieval-c"}),
        "seed": seed,
    }
    if (given := imagenet or cifar10) and not of_images:
        raise ValueError(f"{given}: no benchmark of images is asked for; add one to on, or drop it")
    _require_read("imagenet", imagenet_c, imagenet, asked=needs["corrupted"])
    _require_read("cifar10", cifar10_c, cifar10, asked=needs["corrupted"])
    sets: dict[str, Opened] = {}
    if imagenet:
        sets["imagenet"] = open_imagenet(imagenet, imagenet_c, labels=imagenet_labels, **needs)
    if cifar10:
        sets["cifar10"] = open_cifar10(cifar10, cifar10_c, **needs)
    if imagenet_labels and not imagenet:
        raise ValueError(f"{imagenet_labels}: labels of which images? give imagenet, their folder")
    if of_images and not sets:
        raise ValueError(f"{', '.join(of_images)}: on which images? give imagenet, cifar10 or both")
    return sets


def _require_read(name: str, corrupted: Path | None, clean: Path | None, *, asked: bool) -> None:
    """Raise ValueError for `corrupted` images that no benchmark would look at."""
    if corrupted and not asked:
        raise ValueError(
            f"{corrupted}: read for robustness and retrieval-c alone; add one to on, or drop it"
        )
    if corrupted and not clean:
        raise ValueError(f"{corrupted}: corrupted images of which? give {name}, those that are not")


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


def whole_sets(
    sets: Mapping[str, Opened], *, broken: Broken, cache: Path, workers: int
) -> tuple[dict[str, Opened], dict[str, int]]:
    """The sets without the images that cannot be read, and how many those are, by set.

    All files are looked at, once while they stay: what was found is kept in `cache`. An image goes
    with its corrupted versions, whichever of them is broken. Raises ValueError that tells of all
    broken ones if `broken` says to stop, and if a class has no image left.
    """
    everything = [images for opened in sets.values() for images in opened.images]
    found = {each.name: _faults(each, cache, workers) for each in everything}
    said = [describe(each, found[each.name]) for each in everything if found[each.name]]
    if said and broken == "stop":
        raise ValueError(f"{'; '.join(said)}; mend or remove them, or pass --broken skip")
    for each in said:
        log.info("%s; they are left out", each)
    whole = {key: _without(opened, found) for key, opened in sets.items()}
    left = [images for opened in whole.values() for images in opened.images]
    return whole, {
        before.name: len(before.labels) - len(after.labels)
        for before, after in zip(everything, left, strict=True)
    }


def _faults(images: ImageSet, cache: Path, workers: int) -> Faults:
    if not lies_in_files(images):
        return {}
    mark = fingerprint(images, {"read_by": digest_of(Path(decoding.__file__))})
    return find_faults(images, cache / f"faults-{images.name}-{mark}.json", workers=workers)


def _without(opened: Opened, found: Mapping[str, Faults]) -> Opened:
    train, test, corrupted = opened.train, opened.test, opened.corrupted
    of_test = {*found[test.name], *(found[corrupted.name] if corrupted is not None else ())}
    return opened._replace(
        train=None if train is None else _left(train, found[train.name]),
        test=_left(test, of_test),
        corrupted=None if corrupted is None else _left(corrupted, of_test),
    )


def _left(images: ImageSet, rows: Collection[int]) -> ImageSet:
    left = images.without(rows)
    if lost := {*images.labels.tolist()} - {*left.labels.tolist()}:
        first = [str(images.names[row]) for row in rows if images.labels[row] == min(lost)]
        raise ValueError(
            f"{images.name}: no image is left of {len(lost)} classes, as all are broken "
            f"({some_of(first)}); fetch them again"
        )
    return left


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
    given = cifar10_images(folder, split="train") if train else None
    return Opened(given, test, spoilt, CLASSES)


def _corrupted(key: str, clean: ImageSet, folder: Path | None, *, seed: int) -> ImageSet:
    """The corrupted images in `folder`, of either layout, or generated ones where there is none."""
    name = f"{key}_c"
    if folder is None:
        return generated_images(name, clean, seed=seed, **GENERATED[key])
    layout: Literal["arrays", "imagenet_c"] = (
        "arrays" if (folder / "labels.npy").is_file() else "imagenet_c"
    )
    return corrupted_images(name, open_corrupted(folder, layout=layout), clean)
