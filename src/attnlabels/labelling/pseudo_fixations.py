"""Pseudo fixations of attention maps (section 3.3 and footnote 2 of the paper).

A density is a sum of one Gaussian for each fixation. Its inverse takes the highest point, takes
one Gaussian away there, and goes on until what is left is low.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

# A range within float32 rounding of the maximum: the map is constant and has no peak.
FLAT = 1e-6
# Candidates that fell below the threshold are dropped after each so many points: to drop them costs
# more than to take one Gaussian from them.
DROP_EVERY = 4

Sigma = float | tuple[float, float]  # in pixels; two: down and across


def pseudo_fixations(
    maps: Float[Tensor, "n h w"], *, sigma_px: Sigma, threshold: float, maximum: int
) -> tuple[Int16[Tensor, "n p 2"], Int64[Tensor, "n"]]:
    """Points (row, col) of each map, highest first, padded with -1 to `maximum`; their counts.

    A map is searched until its highest point is below `threshold` times its first, or `maximum`
    points are found. `sigma_px` is the Gaussian's, in the map's pixels: two, down and across, where
    the map is not of its image's shape. Ties go to the first in reading order. Constant maps have
    no points. The search is in double on one CPU, wherever the maps are; points and counts go back
    to them.

    Raises ValueError for maps with negative or non-finite values, for a `sigma_px` of 0 or less,
    and for a `threshold` outside of (0, 1].

    Paper: the Gaussian's height is not given. It is the current peak, so that a point becomes
    exactly 0, is never found again, and the search ends.
    """
    down, across = sigma_px if isinstance(sigma_px, tuple) else (sigma_px, sigma_px)
    if not (down > 0 and across > 0 and 0 < threshold <= 1):
        raise ValueError(
            f"sigma_px={sigma_px} and threshold={threshold}, expected sigma_px > 0 and "
            "threshold above 0 and at most 1"
        )
    dtype = torch.promote_types(maps.dtype, torch.float32)  # numpy has no bfloat16
    arrays = maps.detach().to("cpu", dtype).contiguous().numpy()
    n, h, w = arrays.shape
    grid = _grid(h, w, sigma_px=(down, across), threshold=threshold)
    places, counts, bad = np.full((n, maximum), -1), np.zeros(n, dtype=np.int64), list[int]()
    for i, m in enumerate(arrays):  # all that is asked of a map, while the cache holds it
        first, last = float(m.max()), float(m.min())
        if not (last >= 0 and first < math.inf):  # a NaN anywhere is both
            bad.append(i)
        elif first - last > FLAT * first:
            found = _search(m, grid, least=threshold * first, maximum=maximum)
            counts[i] = len(found)
            places[i, : len(found)] = found
    if bad:
        raise ValueError(
            f"maps {bad[:10]} of {n} hold negative or non-finite values; attention maps are "
            "finite and 0 or more"
        )
    points = np.stack(np.divmod(places, grid.stride), axis=2).astype(np.int16)
    points[places < 0] = -1
    return torch.from_numpy(points).to(maps.device), torch.from_numpy(counts).to(maps.device)


class _Grid(NamedTuple):
    """What all maps of a size share.

    The place of a pixel is row * stride + col, and two pixels' places differ by as much as their
    rows and columns do, no two offsets alike. So one table holds the Gaussian of all offsets, and
    `gaussian[centre + place - peak]` is its value at `place` when it stands at `peak`. It reaches
    from the start of the peak's row `above` places up and `below` places down.
    """

    places: np.ndarray
    stride: int
    gaussian: np.ndarray
    centre: int
    above: int
    below: int


@lru_cache(maxsize=1)  # a stage searches batch after batch of one size
def _grid(h: int, w: int, *, sigma_px: tuple[float, float], threshold: float) -> _Grid:
    # A Gaussian below 2^-55 of the lowest value that still counts, the threshold, changes no bit
    # of it: rows further away are left out, and the points are those of whole Gaussians.
    down, across = sigma_px
    reach = math.ceil(down * math.sqrt(2 * (55 * math.log(2) - math.log(threshold))))
    reach, stride = min(reach, h - 1), 2 * w - 1
    gaussian = np.empty((2 * h - 1, stride))  # no row beyond the reach is ever read
    gaussian[h - 1 - reach : h + reach] = np.outer(
        _profile(np.arange(-reach, reach + 1), down), _profile(np.arange(1 - w, w), across)
    )
    places = np.arange(h)[:, None] * stride + np.arange(w)
    gaussian.flags.writeable = places.flags.writeable = False
    return _Grid(
        places,
        stride,
        gaussian.ravel(),
        centre=(h - 1) * stride + w - 1,
        above=reach * stride,
        below=(reach + 1) * stride,
    )


def _profile(offsets: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.exp(-(offsets.astype(np.float64) ** 2) / (2 * sigma_px**2))


def _search(m: np.ndarray, grid: _Grid, *, least: float, maximum: int) -> list[int]:
    """Places of the points of one map, highest first.

    Values only fall, so a pixel below `least` is none of them: only those that start above it are
    looked at, a tenth of a map, as a list in reading order.
    """
    all_places, stride, gaussian, centre, above, below = grid
    high = m >= m.dtype.type(least)  # as exact as in double for values of the map's own type
    left, places = m[high].astype(np.float64), all_places[high]
    found: list[int] = []
    while len(left) and len(found) < maximum:
        index = left.argmax()
        peak, place = left.item(index), places.item(index)
        if peak < least:
            break
        found.append(place)
        row = place - place % stride
        start, stop = places.searchsorted((row - above, row + below))
        near, blob = left[start:stop], gaussian[centre - place :].take(places[start:stop])
        blob *= peak
        near -= blob
        if len(found) % DROP_EVERY == 0:
            high = left >= least
            left, places = left[high], places[high]
    return found
