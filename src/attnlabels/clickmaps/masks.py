"""Masks of objects, as PNG files."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool


def read_mask(path: Path, *, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The mask of an image of that height and width; its greys are shares of a pixel.

    From half of the largest grey on, be that 1 or 255, a pixel is part of the object. Raises
    FileNotFoundError, and ValueError for what is no picture or one of another size.
    """
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
    return grey >= max(1, int(grey.max()) / 2)
