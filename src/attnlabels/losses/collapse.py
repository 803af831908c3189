"""Whether projections still tell images apart, or have collapsed."""

import math
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor


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
