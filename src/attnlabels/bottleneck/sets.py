"""Other sets of labelled images, whose features a network did not learn: CIFAR-10, SVHN, STL-10,
and any in class folders.

SVHN (Netzer et al. 2011, format 2): train_32x32.mat and test_32x32.mat, the digit 0 having the
label 10. STL-10 (Coates et al. 2011): train_X.bin, train_y.bin and those of test, an image's three
colours one after the other and each by columns, labels from 1. Class folders: train/<class> and
test/<class> (or val/<class>), whose images are of one size. Nothing here mirrors an image: a
digit would be none.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Int64, UInt8

from attnlabels.images.decoding import read_image
from attnlabels.images.folder import list_images
from attnlabels.recordings.matlab import read_variables
from attnlabels.testsets.cifar10 import read_cifar10

Split = Literal["train", "test"]
Layout = Literal["cifar10", "svhn", "stl10", "folders"]
Labelled: TypeAlias = tuple[UInt8[np.ndarray, "n h w 3"], Int64[np.ndarray, "n"]]
N_CLASSES = 10
STL10_SIDE = 96


def read_set(layout: Layout, folder: Path, *, split: Split) -> Labelled:
    """RGB images and classes from 0 of a split, in the files' order.

    The layouts' readers say what they raise.
    """
    return READERS[layout](folder, split)


def read_svhn(folder: Path, split: Split) -> Labelled:
    """The cropped digits.

    Raises FileNotFoundError for a file that is not there, and ValueError for another one.
    """
    path = folder / f"{split}_32x32.mat"
    found = read_variables(path, ("X", "y"))
    x, y = found.get("X"), found.get("y")
    if not (
        isinstance(x, np.ndarray)
        and isinstance(y, np.ndarray)
        and x.dtype == np.uint8
        and x.ndim == 4
        and x.shape[2] == 3
        and y.size == x.shape[3]
    ):
        raise ValueError(f"{path}: no images X [32 32 3 n] with labels y [n]; fetch SVHN again")
    images = np.ascontiguousarray(x.transpose(3, 0, 1, 2))
    return images, _classes(path, y) % N_CLASSES


def read_stl10(folder: Path, split: Split) -> Labelled:
    """The labelled images of 96 px.

    Raises FileNotFoundError for a file that is not there, and ValueError for one that is cut short.
    """
    paths = [folder / f"{split}_{of}.bin" for of in ("X", "y")]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: not here; unpack stl10_binary.tar.gz and name it")
    x, y = (np.fromfile(path, np.uint8) for path in paths)
    if len(x) != len(y) * 3 * STL10_SIDE**2 or not len(y):
        raise ValueError(
            f"{paths[0]}: {len(x)} bytes for {len(y)} labels, expected {3 * STL10_SIDE**2} an "
            "image; fetch STL-10 again"
        )
    images = x.reshape(-1, 3, STL10_SIDE, STL10_SIDE).transpose(0, 3, 2, 1)
    return np.ascontiguousarray(images), _classes(paths[1], y) - 1


def read_folders(folder: Path, split: Split) -> Labelled:
    """The images of class folders, in the order of their names.

    Raises FileNotFoundError where there are none, and ValueError for an image that cannot be read,
    or is of another size than the first, and where the splits have not the same classes.
    """
    root = folder / split
    if split == "test" and not root.is_dir() and (folder / "val").is_dir():
        root = folder / "val"
    manifest = list_images(root, classes=None)
    if split == "test":
        learnt = list_images(folder / "train", classes=None).classes
        if others := sorted({*learnt} ^ {*manifest.classes}):
            raise ValueError(
                f"{folder}: the class folders {', '.join(others)} are in one of train and "
                f"{root.name} alone; add them to the other, or remove them"
            )
    paths = [root / path for path in manifest.paths]
    images: list[np.ndarray] = []
    for path in paths:
        image = read_image(path)
        if images and image.shape != images[0].shape:
            (h, w), (first_h, first_w) = image.shape[:2], images[0].shape[:2]
            raise ValueError(
                f"{path}: {w} x {h} px, where {paths[0].name} has {first_w} x {first_h}; resize "
                "the set's images to one size"
            )
        images.append(image)
    return np.stack(images), manifest.labels.astype(np.int64)


def _classes(path: Path, labels: np.ndarray) -> Int64[np.ndarray, "n"]:
    """Labels 1 to 10; raises ValueError for others."""
    whole = labels.ravel().astype(np.int64)
    if len(whole) and (whole.min() < 1 or whole.max() > N_CLASSES):
        raise ValueError(
            f"{path}: labels from {whole.min()} to {whole.max()}, expected 1 to {N_CLASSES}; fetch "
            "it again"
        )
    return whole


READERS: dict[Layout, Callable[[Path, Split], Labelled]] = {
    "cifar10": lambda folder, split: read_cifar10(folder, split=split),
    "svhn": read_svhn,
    "stl10": read_stl10,
    "folders": read_folders,
}
