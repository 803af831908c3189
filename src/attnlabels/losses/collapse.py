"""Whether projections, and masks, still tell images apart, or have collapsed."""

import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

FLAT_MASK = 0.01  # of values between 0 and 1
SHARED_MASK = 0.95  # mean correlation of two images' masks
EPS = 1e-6  # what a mask that is the same in all cells is divided by


def spread(z: Tensor) -> Tensor:
    """Standard deviation of normalised projections times √d: 1 spread out, 0 collapsed.

    Chen & He 2021 (SimSiam), figure 2.
    """
    return F.normalize(z.detach().float(), dim=1).std(dim=0).mean() * math.sqrt(z.shape[1])


def collapsed(epoch: Mapping[str, Any], *, n: int) -> str:
    """What shows that an epoch's projections no longer tell images apart, or nothing.

    NT-Xent is 2 ln(2n - 1) for n images if every other view is as likely to be an image's own.
    """
    if epoch["spread"] < 0.01:
        return f"projections have collapsed to a point (spread {epoch['spread']:.2g})"
    chance = 2 * math.log(2 * n - 1)
    if epoch.get("contrastive", 0.0) > 0.995 * chance:
        return f"NT-Xent is no better than chance ({epoch['contrastive']:.3f}, chance {chance:.3f})"
    return ""


def spread_of_masks(masks: Tensor) -> dict[str, Tensor]:
    """Of masks [n, i, j], each of one image: their deviation over cells, and how alike two images'
    are, the mean correlation of all pairs; 0 of flat ones, and of one image.
    """
    values = masks.detach().float().flatten(1)
    centred = values - values.mean(dim=1, keepdim=True)
    directions = F.normalize(centred, dim=1, eps=EPS)
    n = len(values)
    pairs = directions.sum(dim=0).square().sum() - directions.square().sum()
    return {"mask_spread": values.std(dim=1).mean(), "mask_likeness": pairs / max(1, n * (n - 1))}


def collapsed_mask(epoch: Mapping[str, Any]) -> str:
    """What shows that an epoch's masks choose no place, or the same for each image, or nothing."""
    spread, shared = epoch["mask_spread"], epoch["mask_likeness"]
    if spread < FLAT_MASK:
        return f"the mask has collapsed: it is the same in all cells (deviation {spread:.2g})"
    if shared > SHARED_MASK:
        return f"the mask has collapsed: it is the same for all images (correlation {shared:.3f})"
    return ""
