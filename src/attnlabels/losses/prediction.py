"""Losses of a predictor: one view's prediction of what the other view's projection is.

The target is never taught: in SimSiam it is the projection itself without its gradient, in BYOL
and MoCo v3 that of a momentum encoder.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

Projections = Float[Tensor, "n d"]


def simsiam(p0: Projections, p1: Projections, z0: Projections, z1: Projections) -> Tensor:
    """-½ (cos(p0, sg z1) + cos(p1, sg z0)), mean over images (Chen & He, CVPR 2021, eq. 4)."""
    return -(_cosine(p0, z1) + _cosine(p1, z0)) / 2


def byol(p0: Projections, p1: Projections, k0: Projections, k1: Projections) -> Tensor:
    """‖p̂0 - k̂1‖² + ‖p̂1 - k̂0‖², mean over images (Grill et al., NeurIPS 2020, eq. 2)."""
    return 4 - 2 * (_cosine(p0, k1) + _cosine(p1, k0))


def moco(
    p0: Projections, p1: Projections, k0: Projections, k1: Projections, *, temperature: float
) -> Tensor:
    """Finding a prediction's own key of the other view among all images', both ways.

    MoCo v3 (Chen, Xie & He, ICCV 2021, algorithm 1), with its factor of twice the temperature.
    All four hold the whole batch: its keys are the negatives, there is no queue.
    """
    own = torch.arange(len(p0), device=p0.device)
    with torch.autocast(p0.device.type, enabled=False):
        losses = [
            F.cross_entropy(_unit(p) @ _unit(k.detach()).T / temperature, own)
            for p, k in ((p0, k1), (p1, k0))
        ]
    return 2 * temperature * (losses[0] + losses[1])


def _cosine(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean over images; no gradient passes into the target."""
    return F.cosine_similarity(_wide(predicted), _wide(target.detach()), dim=1).mean()


def _unit(rows: Tensor) -> Tensor:
    return F.normalize(_wide(rows), dim=1)


def _wide(rows: Tensor) -> Tensor:
    return rows.to(torch.promote_types(rows.dtype, torch.float32))
