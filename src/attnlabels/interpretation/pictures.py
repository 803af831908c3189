"""Pictures of what networks depend on: Figures 4 and 8 of Linsley et al. 2019, and layers in a row.

Arrays in, RGB out; maps are of any size and are enlarged to the photograph's, smoothly, or to a
side that is asked for, in cells that show.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from attnlabels.images.decoding import resize_map
from attnlabels.images.overlays import colour_map

PAPER = 255  # white, behind what is see-through and between pictures
GAP = 2  # pixels between pictures in a row
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)

Map = Float[np.ndarray, "_ _"]
Picture = UInt8[np.ndarray, "_ _ 3"]


def difference(one: Map, other: Map) -> UInt8[np.ndarray, "_ _ 3"]:
    """Red where `one` is higher, blue where `other` is, white where neither (Fig. 8).

    Each is divided by its L2 norm first, as gradients of two networks have no common unit, and the
    difference by its largest absolute value. Raises ValueError for maps of two sizes.
    """
    if one.shape != other.shape:
        raise ValueError(f"maps of {one.shape} and {other.shape}; expected one size, to subtract")
    sizes = (float(np.linalg.norm(each)) or 1.0 for each in (one, other))
    gap = np.subtract(*(each / size for each, size in zip((one, other), sizes)))
    gap = gap / (np.abs(gap).max() or 1.0)
    colour = np.where(gap[..., None] > 0, RED, BLUE)
    return _mixed(colour * PAPER, np.full(colour.shape, PAPER), np.abs(gap))


def seen_through(image: Picture, map: Map) -> UInt8[np.ndarray, "_ _ 3"]:
    """The photograph as far as it is attended to, on white (Fig. 4); of a flat map all of it."""
    h, w = image.shape[:2]
    wide = resize_map(map.astype(np.float64), h, w)
    spread = np.ptp(wide)
    share = (wide - wide.min()) / spread if spread else np.ones((h, w))
    return _mixed(image, np.full(image.shape, PAPER), share)


def layers(maps: Float[np.ndarray, "l i j"], *, side: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The maps of several layers side by side, each over its own range, `side` pixels high."""
    wide = round(side * maps.shape[2] / maps.shape[1])
    scaled = ((map - map.min()) / (np.ptp(map) or 1.0) for map in maps)
    return in_a_row([colour_map(map, size=(side, wide)) for map in scaled])


def in_a_row(pictures: Sequence[Picture]) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures of one height side by side, a white gap between."""
    h = pictures[0].shape[0]
    gap = np.full((h, GAP, 3), PAPER, np.uint8)
    parts = [part for each in pictures for part in (gap, each)]
    return np.concatenate(parts[1:], axis=1)


def _mixed(
    shown: np.ndarray, behind: np.ndarray, share: Float[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    mixed = shown * share[..., None] + behind * (1 - share[..., None])
    return np.rint(mixed).astype(np.uint8)
