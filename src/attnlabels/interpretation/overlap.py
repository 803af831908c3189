"""Overlap of a map's highest part with the mask of an object (Linsley et al. 2019; STUDIES §C.3).

IoU rewards a map for being as broad as the mask, so numbers of pixels are equalised: of two
networks' maps (the paper), or of a map and the mask. A random part as large as the mask, of a share
p of the image, overlaps by p / (2 - p); that, and a centre prior, belong beside each number.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from attnlabels.images.decoding import resize_map
from attnlabels.metrics.saliency import FLAT

HALF = 0.5  # of the map's range, above which the paper keeps a pixel

Map = Float[np.ndarray, "_ _"]
Mask = Bool[np.ndarray, "_ _"]


class Both(NamedTuple):
    """IoU of two networks with one mask, of as many pixels each."""

    one: float
    other: float
    pixels: int


def enlarge(map: Map, mask: Mask) -> Float[np.ndarray, "_ _"]:
    """The map at the mask's size, bilinear and in float64, scaled to 0..1; 0 where it is flat.

    Raises ValueError for values that are no numbers.
    """
    if not np.isfinite(map).all():
        raise ValueError("the map has values that are no numbers")
    wide = resize_map(map.astype(np.float64), *mask.shape)
    spread = np.ptp(wide)
    if spread <= FLAT * np.abs(wide).max():
        return np.zeros(mask.shape)
    return (wide - wide.min()) / spread


def iou_of_highest(map: Map, mask: Mask, *, pixels: int) -> float:
    """IoU of the map's so many highest `pixels` with the mask, both of one size.

    Of equal pixels at the limit each counts in part, as it would be chosen: a flat map overlaps as
    chance does. Raises ValueError for an empty mask or a number of pixels that there are not.
    """
    if map.shape != mask.shape:
        raise ValueError(f"a map of {map.shape} and a mask of {mask.shape}; enlarge the map first")
    if not mask.any() or not 0 < pixels <= mask.size:
        raise ValueError(
            f"{pixels} of {mask.size} pixels and a mask of {int(mask.sum())}; expected some of both"
        )
    limit = np.partition(map, -pixels, axis=None)[-pixels]
    above, tied = map > limit, map == limit
    share = (pixels - int(above.sum())) / int(tied.sum())
    inside = int((above & mask).sum()) + share * int((tied & mask).sum())
    return float(inside / (pixels + int(mask.sum()) - inside))


def iou_of_mask_size(map: Map, mask: Mask) -> float:
    """IoU of as many of the map's pixels as the mask has, of a map of any size."""
    return iou_of_highest(enlarge(map, mask), mask, pixels=int(mask.sum()))


def iou_above_half(map: Map, mask: Mask) -> float:
    """IoU of the map's pixels above half of its range, however many: broad maps gain by it."""
    above = enlarge(map, mask) > HALF
    return float((above & mask).sum() / (above | mask).sum())


def iou_of_both(one: Map, other: Map, mask: Mask) -> Both:
    """The paper's: of both networks' maps as many pixels as that has which has fewer above half.

    Where a map is flat, and has none, one pixel of each is compared.
    """
    a, b = enlarge(one, mask), enlarge(other, mask)
    pixels = max(1, min(int((a > HALF).sum()), int((b > HALF).sum())))
    return Both(
        one=iou_of_highest(a, mask, pixels=pixels),
        other=iou_of_highest(b, mask, pixels=pixels),
        pixels=pixels,
    )


def chance(mask: Mask) -> float:
    """The IoU of a random part of the image that is as large as the mask, p / (2 - p)."""
    p = float(mask.mean())
    return p / (2 - p)
