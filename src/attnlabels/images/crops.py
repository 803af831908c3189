"""One crop for an image's attention map and its points: draw the box once, apply it to both.

A box is (top, left, height, width) as shares of the image, so that it means the same on the image,
on a map of another resolution and on the grid that points are counted on.
"""

import cv2
import numpy as np
from jaxtyping import Float, Int16

Box = tuple[float, float, float, float]
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
ROUNDING = 1e-6  # of a pixel, within which a point is on its border


def centre_box(height: int, width: int, crop: float) -> Box:
    """The box of the central square whose side is `crop` of the shorter one; 1 is the whole."""
    if crop == 1:
        return WHOLE
    h, w = crop * min(height, width) / height, crop * min(height, width) / width
    return (1 - h) / 2, (1 - w) / 2, h, w


def sigma_on(size: tuple[int, int], *, height: float, share: float) -> tuple[float, float]:
    """σ down and across, in pixels of a map of `size` (height, width), of what its image has round.

    The image's `height` and the σ there, `share`, are in widths of the image. A map of the image's
    shape has one σ; where the image is squeezed, so is the Gaussian.
    """
    return share / height * size[0], share * size[1]


def crop_map(
    map: Float[np.ndarray, "h w"], box: Box, *, size: tuple[int, int]
) -> Float[np.ndarray, "a b"]:
    """The part of the map inside `box`, at `size` (height, width): bilinear, or means to shrink."""
    (h, w), (top, left, height, width) = map.shape, box
    if box == WHOLE and size == (h, w):
        return map
    rows, cols = size
    if height * h > 1.5 * rows or width * w > 1.5 * cols:  # average first: bilinear would skip
        h, w = min(h, round(rows / height)), min(w, round(cols / width))
        map = cv2.resize(map, (w, h), interpolation=cv2.INTER_AREA)
    y, x = height * h / rows, width * w / cols  # map pixels to one of the result
    matrix = np.array([[x, 0, left * w + x / 2 - 0.5], [0, y, top * h + y / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(map, matrix, (cols, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def count_points(
    points: Int16[np.ndarray, "n 2"], *, grid: tuple[int, int], box: Box, size: tuple[int, int]
) -> Float[np.ndarray, "a b"]:
    """How many of the points, (row, col) on `grid`, fall on each pixel of the crop at `size`.

    A point stands for the centre of its grid pixel; one outside the box is not counted. On the
    border of two pixels it is half on each, and on the corner of four a quarter: where the grid is
    doubled, all are.
    """
    at = ((points + 0.5) / grid - box[:2]) / box[2:] * size
    either = np.array([np.ceil(at - ROUNDING) - 1, np.floor(at + ROUNDING)]).astype(np.int64)
    rows, cols = either[:, None, :, 0], either[None, :, :, 1]  # of all four corners: [2, 2, n]
    inside = (rows >= 0) & (rows < size[0]) & (cols >= 0) & (cols < size[1])
    cells = (rows * size[1] + cols)[inside]
    return np.bincount(cells, minlength=size[0] * size[1]).reshape(size).astype(np.float32) / 4
