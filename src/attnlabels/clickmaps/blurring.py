"""What players painted as a map: how it is counted, and the blurs by which ClickMe's are published.

Three blurs are in use, and scores of maps that had different ones do not compare (STUDIES §A.5).
Their sizes are given for images of one short side and are scaled with it here:

    box_49         mean of a square of 49 px at 256 (Linsley et al., ICLR 2019)
    disc_twice     mean of a disc of 21 px at 256, at most 51, two times (ClickMe 2.0's pipeline)
    harmonization  Gaussian of sigma 10 px cut to a square of 10 px at 64 (Fel et al., NeurIPS 2022)
    none           none, of maps that are blurred already
"""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from attnlabels.recordings.density import Count, fixation_map

Blur = Literal["box_49", "disc_twice", "harmonization", "none"]
BOX, DISC, GALA_SIDE = 49, 21, 256
BUBBLE = 14  # px that a click uncovers, at 256
LARGEST_DISC = 51
GAUSSIAN, GAUSSIAN_SIDE = 10, 64


def blur(map: Float[np.ndarray, "h w"], name: Blur) -> Float32[np.ndarray, "h w"]:
    """A map, >= 0, of an image's size, or of one player on it, blurred by the named kernel.

    A kernel has odd sides, sums to 1 and finds nothing beyond the image, so that what lies by its
    border is fainter. Where a box or disc reaches no click the result is 0, and where it reaches as
    much as elsewhere the same as there, which ranks ask for. Paper: Harmonization's kernel of even
    sides is half a pixel off its centre; here it is centred.
    """
    map = map.astype(np.float32)
    side = min(map.shape)
    match name:
        case "none":
            return map
        case "box_49":
            size = odd(BOX * side / GALA_SIDE)
            return cv2.blur(map, (size, size), borderType=cv2.BORDER_CONSTANT)
        case "disc_twice":
            inside = disc(min(odd(DISC * side / GALA_SIDE), LARGEST_DISC))
            twice = _sum_in(inside, _sum_in(inside, map.astype(np.float64)))
            return (twice / inside.sum() ** 2).astype(np.float32)
        case "harmonization":
            length = GAUSSIAN * side / GAUSSIAN_SIDE
            size = odd(length)
            return cv2.GaussianBlur(map, (size, size), length, borderType=cv2.BORDER_CONSTANT)


def odd(length: float) -> int:
    """The odd number that is nearest to a length, at least 1."""
    return 2 * int(length // 2) + 1


def disc(diameter: int) -> Bool[np.ndarray, "{diameter} {diameter}"]:
    """What of a square of odd side is in the disc."""
    away = np.arange(diameter) - (diameter - 1) / 2
    return np.hypot(away[:, None], away[None]) <= diameter / 2


def _sum_in(
    inside: Bool[np.ndarray, "d d"], map: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w"]:
    """The map summed in a shape about each pixel, whose rows are each of one piece and centred.

    By running sums along rows, which in double are exact of counts and of float32 alike. OpenCV's
    `filter2D` takes Fourier's transform for large kernels, and what is 0 comes out as noise.
    """
    h, reach = len(map), len(inside) // 2
    padded, widths = np.pad(map, ((reach, reach), (0, 0))), inside.sum(axis=1).tolist()
    along = {
        width: cv2.boxFilter(
            padded, -1, (width, 1), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        for width in {*widths}
    }
    return np.sum([along[width][down : down + h] for down, width in enumerate(widths)], axis=0)


def bubbled(
    points: Int[np.ndarray, "n 2"], *, size: tuple[int, int], reach: int | None = None
) -> Bool[np.ndarray, "h w"]:
    """What a player uncovered of an image: squares about their clicks, (row, col) from 0.

    Their side is `reach` px, or what ClickMe's 14 px at 256 are on an image of that size.
    """
    reach = reach or max(1, round(BUBBLE * min(size) / GALA_SIDE))
    seen = np.zeros(size, bool)
    for row, col in points - reach // 2:
        seen[max(0, row) : row + reach, max(0, col) : col + reach] = True
    return seen


def mean_map(
    points: Int[np.ndarray, "n 2"],
    players: Int[np.ndarray, "n"],
    *,
    size: tuple[int, int],
    count: Count,
) -> Float32[np.ndarray, "h w"]:
    """The mean over players of their maps of clicks, (row, col) from 0, on an image of `size`.

    A player's map is 1 where they clicked, or the number of clicks there. Zero without players.
    """
    if count == "binary":
        players, points = _distinct(players, points)
    clicks = fixation_map(points, height=size[0], width=size[1], count="counted")
    return clicks / np.float32(max(1, len(np.unique(players))))


def player_maps(
    points: Int[np.ndarray, "n 2"],
    players: Int[np.ndarray, "n"],
    *,
    size: tuple[int, int],
    count: Count,
    blur_by: Blur,
) -> dict[int, Float32[np.ndarray, "h w"]]:
    """The blurred map of each player by their number, as measures of reliability take it."""
    return {
        int(player): blur(
            fixation_map(points[players == player], height=size[0], width=size[1], count=count),
            blur_by,
        )
        for player in np.unique(players)
    }


def _distinct(
    players: Int[np.ndarray, "n"], points: Int[np.ndarray, "n 2"]
) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m 2"]]:
    rows = np.unique(np.column_stack([players, points]), axis=0)
    return rows[:, 0], rows[:, 1:]
