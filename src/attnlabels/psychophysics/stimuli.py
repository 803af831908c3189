"""Stimuli of rapid categorisation: a region of an image, in the middle of a background.

As in Linsley et al. (ICLR 2019, §2.2): the region that a map reveals, moved to the middle of the
picture, so that where it was tells nothing and the eye need not search.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from attnlabels.images.decoding import resize
from attnlabels.psychophysics.scramble import phase_scramble

Background = Literal["own", "other", "grey"]
GREY = 0.5  # of [0, 1]


class Stimulus(NamedTuple):
    """What is shown, and how many of the region's pixels fell off at the border as it moved."""

    image: UInt8[np.ndarray, "h w 3"]
    lost: int


def log_shares(least: float, n: int) -> list[float]:
    """Shares of the pixels from `least` to 1, the whole image, in `n` equal steps of the logarithm.

    Rounded to four digits, as they stand in tables. Raises ValueError for fewer than two, and for a
    `least` that is not above 0 and below 1.
    """
    if n < 2 or not 0 < least < 1:
        raise ValueError(f"{n} shares from {least}; expected 2 or more, from above 0 and below 1")
    return [float(f"{share:.4g}") for share in np.geomspace(least, 1, n)]


def pixels_of(share: float, size: tuple[int, int]) -> int:
    """How many pixels of an image a share of it is: the same for all maps of images of a size."""
    return round(share * size[0] * size[1])


def background_of(
    image: UInt8[np.ndarray, "h w 3"],
    stranger: UInt8[np.ndarray, "_ _ 3"],
    *,
    of: Background,
    rng: np.random.Generator,
) -> Float[np.ndarray, "h w 3"]:
    """What surrounds the regions of an image, in [0, 1].

    Its `own` phases scrambled, as the paper has it; those of an `other` image, the stranger, at its
    size; or grey.
    """
    # Paper: the scramble is the image's own. Where classes differ in hue it leaks them, so that
    # observers are above chance where nothing is revealed; the other two do not.
    h, w = image.shape[:2]
    backgrounds: dict[Background, Callable[[], Float[np.ndarray, "h w 3"]]] = {
        "own": lambda: phase_scramble(image, rng=rng),
        "other": lambda: phase_scramble(resize(stranger, h, w), rng=rng),
        "grey": lambda: np.full(image.shape, GREY),
    }
    return backgrounds[of]()


def compose(
    image: UInt8[np.ndarray, "h w 3"],
    region: Bool[np.ndarray, "h w"],
    background: Float[np.ndarray, "h w 3"],
) -> Stimulus:
    """The region's pixels before the background, its centroid moved to the middle pixel.

    By whole pixels, so that none is interpolated; of the whole image nothing moves, and an empty
    region leaves the background. What would lie outside is left out and counted.
    """
    shown = np.rint(background * 255).astype(np.uint8)
    rows, cols = np.nonzero(region)
    if not len(rows):
        return Stimulus(shown, 0)
    h, w = region.shape
    to_row, to_col = rows + _shift(rows, h), cols + _shift(cols, w)
    inside = (to_row >= 0) & (to_row < h) & (to_col >= 0) & (to_col < w)
    shown[to_row[inside], to_col[inside]] = image[rows[inside], cols[inside]]
    return Stimulus(shown, int((~inside).sum()))


def _shift(places: np.ndarray, length: int) -> int:
    """From the mean of the places to the middle of 0 .. length - 1; half a pixel is left alone."""
    return int(np.rint((length - 1) / 2 - places.mean()))
