"""From recorded points to attention maps, by SALICON's recipe.

Reference: NUS-VIP/salicon-api PythonAPI/salicon/salicon.py `buildFixMap`: a binary map of the
points, blurred by a Gaussian (19 px at 640 x 480, about 1 degree of visual angle), minus its
minimum, divided by its maximum. OSIE's maps are made so with 24 px at 800 x 600
(NUS-VIP/predicting-human-gaze-beyond-pixels src/dataset/computeFixationMaps.m).
"""

import math
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float32, Int

KERNEL_SIGMAS = 4.0  # scipy's and so SALICON's own cut of the Gaussian
CENTRE_SIGMA = 0.25  # of each side

Count = Literal["binary", "counted"]

# What the Gaussian finds beyond the image: nothing, as OSIE's `imfilter(map, gaussian, 0)`, or the
# image itself again, as SALICON's `gaussian_filter(map, sigma)` of scipy, whose default that is. A
# point on the border then counts about twice as much, one in a corner four times.
Border = Literal["zeros", "reflect"]
BORDERS: dict[Border, int] = {"zeros": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT}


def fixation_map(
    points: Int[np.ndarray, "n 2"], *, height: int, width: int, count: Count
) -> Float32[np.ndarray, "{height} {width}"]:
    """1 at the points, (row, col) from 0; if `counted`, how many points fell there."""
    if (points < 0).any() or (points >= (height, width)).any():
        raise ValueError(
            f"points run from {points.min(0).tolist()} to {points.max(0).tolist()}, (row, col) "
            f"from 0; expected all within {height} x {width}"
        )
    map = np.zeros((height, width), np.float32)
    if count == "binary":
        map[points[:, 0], points[:, 1]] = 1
    else:
        np.add.at(map, (points[:, 0], points[:, 1]), 1)
    return map


def density(
    points: Int[np.ndarray, "n 2"],
    *,
    height: int,
    width: int,
    sigma_px: float | tuple[float, float],
    count: Count,
    border: Border = "zeros",
) -> Float32[np.ndarray, "{height} {width}"]:
    """The blurred map of the points, from 0 to 1; see `blur`."""
    if len(points) == 0:
        raise ValueError("no points to make a density of")
    map = fixation_map(points, height=height, width=width, count=count)
    return blur(map, sigma_px=sigma_px, border=border)


def blur(
    map: Float32[np.ndarray, "h w"],
    *,
    sigma_px: float | tuple[float, float],
    border: Border = "zeros",
) -> Float32[np.ndarray, "h w"]:
    """A map of fixations blurred, from 0 to 1; beyond the image lies what `border` says.

    `sigma_px` is two, down and across, where the map is not of its image's shape.
    """
    down, across = sigma_px if isinstance(sigma_px, tuple) else (sigma_px, sigma_px)
    if not (down > 0 and across > 0):
        raise ValueError(f"sigma_px is {sigma_px}; expected a length above 0")
    across_and_down = [2 * math.ceil(KERNEL_SIGMAS * sigma) + 1 for sigma in (across, down)]
    blurred = cv2.GaussianBlur(
        map, across_and_down, sigmaX=across, sigmaY=down, borderType=BORDERS[border]
    )
    low, high = blurred.min(), blurred.max()
    if high == low:
        raise ValueError(f"the density of {map.sum():g} points is the same everywhere")
    return (blurred - low) / (high - low)


def centre_prior(h: int, w: int) -> Float32[np.ndarray, "{h} {w}"]:
    """A Gaussian at the centre of the image, sigma a quarter of each side, 1 at its top."""
    row = (np.arange(h) - (h - 1) / 2) / (CENTRE_SIGMA * h)
    col = (np.arange(w) - (w - 1) / 2) / (CENTRE_SIGMA * w)
    return np.exp(-(row[:, None] ** 2 + col[None, :] ** 2) / 2).astype(np.float32)
