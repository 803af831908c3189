"""The contrastive loss of SimCLR, as in google-research/simclr:objective.py."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def nt_xent(
    z0: Float[Tensor, "n d"], z1: Float[Tensor, "n d"], *, temperature: float
) -> Float[Tensor, ""]:
    """Cross-entropy of finding each image's other view among the 2n - 1 other views.

    The sum of both directions' means, so twice the mean over views of the SimCLR paper: the
    reference code does so, and the weights of further terms are set against it. `z0` and `z1`
    hold the whole batch; with several processes, gather them first, with their gradient.
    """
    with torch.autocast(z0.device.type, enabled=False):  # half precision spoils the softmax
        z0, z1 = (F.normalize(_at_least_float32(z), dim=1) for z in (z0, z1))
        across = z0 @ z1.T / temperature
        self_similarity = torch.eye(len(z0), dtype=torch.bool, device=z0.device)
        among0, among1 = (
            (z @ z.T / temperature).masked_fill(self_similarity, -torch.inf) for z in (z0, z1)
        )
        own = torch.arange(len(z0), device=z0.device)
        loss0 = F.cross_entropy(torch.cat([across, among0], dim=1), own)
        loss1 = F.cross_entropy(torch.cat([across.T, among1], dim=1), own)
        return loss0 + loss1


def _at_least_float32(z: Tensor) -> Tensor:
    return z.to(torch.promote_types(z.dtype, torch.float32))
