"""Supervision of the input gradient by people's maps (Fel et al., NeurIPS 2022; STUDIES §A.4)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LEVELS = 5  # of the pyramid
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
EPS = 1e-7


def harmonization(
    gradient: Float[Tensor, "n h w"], target: Float[Tensor, "n i j"]
) -> Float[Tensor, "n"]:
    """How far each image's signed gradient is from people's map, over scales.

    Both are standardised over pixels and cut at 0, and the target is scaled to the gradient's
    largest value. The mean over five levels, each half the size of the one before, of the mean
    squared difference. An image whose target is 0 everywhere, as of one that nobody painted on, has
    the distance 0 and no gradient.
    """
    h = F.interpolate(target.float().unsqueeze(1), gradient.shape[1:], mode="bilinear").squeeze(1)
    ours, theirs = _standardised(gradient.float()), _standardised(h)
    top = ours.detach().amax(dim=(1, 2)) / (theirs.amax(dim=(1, 2)) + EPS)
    theirs = theirs * top[:, None, None]
    distance = ours.new_zeros(len(ours))
    for _ in range(LEVELS):
        distance = distance + (ours - theirs).square().mean(dim=(1, 2)) / LEVELS
        ours, theirs = _halved(ours), _halved(theirs)
    return torch.where(target.amax(dim=(1, 2)) > 0, distance, 0.0)


def _standardised(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    variance, mean = torch.var_mean(maps, dim=(1, 2), correction=0, keepdim=True)
    # A constant map is 0; the root of its variance has an infinite slope.
    return F.relu((maps - mean) / (variance + EPS**2).sqrt())


def _halved(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n i j"]:
    """Every other pixel of the maps, blurred by a binomial of five, their borders repeated."""
    taps = maps.new_tensor(BINOMIAL) / sum(BINOMIAL)
    padded = F.pad(maps.unsqueeze(1), (2, 2, 2, 2), mode="replicate")
    return F.conv2d(padded, torch.outer(taps, taps)[None, None], stride=2).squeeze(1)
