"""Losses that keep an embedding's dimensions apart: Barlow Twins and VICReg.

Neither compares images with each other: statistics of the whole batch, one for each pair of
dimensions, keep the projections from collapsing.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

EPS = 1e-4  # of VICReg's deviations: the root's slope at 0 is infinite (its code, main_vicreg.py)


def barlow_twins(
    z0: Float[Tensor, "n d"], z1: Float[Tensor, "n d"], *, off_diagonal: float
) -> Float[Tensor, ""]:
    """Σ_i (1 - C_ii)² + off_diagonal Σ_i≠j C_ij² of the views' correlations C over the batch.

    Zbontar et al., ICML 2021, algorithm 1. `z0` and `z1` hold the whole batch, as all statistics
    are over it. In single precision, or in double if they are. Raises ValueError for one image.
    """
    z0, z1 = _whole_batch("Barlow Twins", z0, z1)
    with torch.autocast(z0.device.type, enabled=False):
        correlation = F.batch_norm(z0, None, None, training=True).T @ F.batch_norm(
            z1, None, None, training=True
        )
        correlation = correlation / len(z0)
        diagonal = correlation.diagonal()
        apart = correlation - torch.diag(diagonal)  # no difference of two sums: it would round
        return (diagonal - 1).square().sum() + off_diagonal * apart.square().sum()


def vicreg(
    z0: Float[Tensor, "n d"],
    z1: Float[Tensor, "n d"],
    *,
    invariance: float,
    variance: float,
    covariance: float,
) -> Float[Tensor, ""]:
    """The three weighted terms of VICReg (Bardes et al., ICLR 2022, section 4).

    Mean squared difference of the views; how far each dimension's deviation over the batch is
    below 1; squared covariances of different dimensions, over d. Of the last two, the paper's code
    takes the views' mean and their sum. `z0` and `z1` hold the whole batch. In single precision, or
    in double if they are. Raises ValueError for one image.
    """
    z0, z1 = _whole_batch("VICReg", z0, z1)
    with torch.autocast(z0.device.type, enabled=False):
        total = invariance * F.mse_loss(z0, z1)
        for z in (z0, z1):
            centred = z - z.mean(dim=0)
            moments = centred.T @ centred / (len(z) - 1)
            variances = moments.diagonal()
            apart = moments - torch.diag(variances)
            below = F.relu(1 - (variances + EPS).sqrt()).mean()
            total = total + variance * below / 2 + covariance * apart.square().sum() / z.shape[1]
        return total


def _whole_batch(loss: str, *views: Tensor) -> list[Tensor]:
    if len(views[0]) < 2:
        raise ValueError(f"{loss} needs statistics of a batch, and this one has 1 image")
    return [z.to(torch.promote_types(z.dtype, torch.float32)) for z in views]
