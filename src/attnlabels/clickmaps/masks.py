"""Masks of objects, as PNG files."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8


def read_mask(path: Path, *, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask of an image of that height and width; its greys are shares of a pixel.

    From half of the largest grey on, be that 1 or 255, a pixel is part of the object. Raises
    FileNotFoundError, and ValueError for what is no picture or one of another size.
    """
    grey = _read_grey(path, size)
    return grey >= max(1, int(grey.max()) / 2)


def read_shares(path: Path, *, size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """The same as shares of a pixel, of which the largest is 1. Raises ValueError if all are 0."""
    grey = _read_grey(path, size)
    if not grey.any():
        raise ValueError(f"{path}: nothing is on it; take the masks of these images")
    return grey / float(grey.max())


def _read_grey(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no mask there; put it there")
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise ValueError(f"{path}: not a readable PNG; fetch it again")
    if grey.shape != size:
        raise ValueError(
            f"{path}: a mask of {grey.shape[0]} x {grey.shape[1]} of an image of {size[0]} x "
            f"{size[1]}; take the masks of these images"
        )
    return grey
