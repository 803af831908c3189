"""Pseudo fixations of attention maps (section 3.3 and footnote 2 of the paper).

A density is a sum of one Gaussian for each fixation. Its inverse takes the highest point, takes
one Gaussian away there, and goes on until what is left is low.
"""

import torch
from jaxtyping import Float, Int16, Int64
from torch import Tensor

# A range within float32 rounding of the maximum: the map is constant and has no peak.
FLAT = 1e-6


def pseudo_fixations(
    maps: Float[Tensor, "n h w"], *, sigma_px: float, threshold: float, maximum: int
) -> tuple[Int16[Tensor, "n p 2"], Int64[Tensor, "n"]]:
    """Points (row, col) of each map, highest first, padded with -1 to `maximum`; their counts.

    A map is searched until its highest point is below `threshold` times its first, or `maximum`
    points are found. Ties go to the first in reading order. Constant maps have no points.

    Paper: the Gaussian's height is not given. It is the current peak, so that a point becomes
    exactly 0, is never found again, and the search ends.
    """
    _require_maps(maps, sigma_px=sigma_px, threshold=threshold)
    n, h, w = maps.shape
    points = maps.new_full((n, maximum, 2), -1, dtype=torch.int16)
    counts = maps.new_zeros(n, dtype=torch.int64)

    # In double, no rounding decides between points. Finished maps leave `left`; `images` says
    # which remain.
    left = maps.double()
    first, last = left.amax(dim=(1, 2)), left.amin(dim=(1, 2))
    images = (first - last > FLAT * first).nonzero()[:, 0]
    left, least = left[images], threshold * first[images]
    distance = torch.arange(max(h, w), device=maps.device, dtype=torch.float64)
    gaussian = torch.exp(-(distance**2) / (2 * sigma_px**2))
    rows, cols = torch.arange(h, device=maps.device), torch.arange(w, device=maps.device)
    for found in range(maximum):
        peak, place = left.flatten(1).max(dim=1)
        going = peak >= least
        if not going.all():
            left, least, images = left[going], least[going], images[going]
            peak, place = peak[going], place[going]
        if not len(images):
            break
        y, x = place // w, place % w
        points[images, found] = torch.stack([y, x], dim=1).to(torch.int16)
        counts[images] += 1
        down = peak[:, None] * gaussian[(rows - y[:, None]).abs()]
        across = gaussian[(cols - x[:, None]).abs()]
        left.sub_(down[:, :, None] * across[:, None, :])  # below 0 is as good as 0: never a peak
    return points, counts


def _require_maps(maps: Tensor, *, sigma_px: float, threshold: float) -> None:
    if sigma_px <= 0 or not 0 < threshold <= 1:
        raise ValueError(
            f"sigma_px={sigma_px} and threshold={threshold}, expected sigma_px > 0 and "
            "threshold above 0 and at most 1"
        )
    bad = ~(maps.isfinite() & (maps >= 0)).flatten(1).all(dim=1)
    if bad.any():
        raise ValueError(
            f"maps {bad.nonzero()[:, 0].tolist()[:10]} of {len(maps)} hold negative or "
            "non-finite values; attention maps are finite and 0 or more"
        )
