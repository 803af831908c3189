"""The two attention terms of the paper (section 3.3): KL divergence and NSS of a batch of maps."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Real
from torch import Tensor

# Keeps empty pixels out of log(0) and x/0; below the smallest share that matters, 1/224**2.
EPS = 1e-7

# A map whose range is within float32 rounding of its values has no direction: it is constant.
FLAT = 1e-6


def kld(prediction: Float[Tensor, "n h w"], target: Float[Tensor, "n h w"]) -> Float[Tensor, "n"]:
    """KL divergence of each prediction from its target, of maps >= 0 scaled here to sum 1.

    Paper: writes KLD(prediction, target). That is the saliency benchmarks' order of arguments;
    the sum weighs by the target (pysaliency `MIT_KLDiv`), as here.
    """
    p, t = _distribution(prediction), _distribution(target)
    return (t * torch.log(EPS + t / (p + EPS))).sum(dim=(1, 2))


def nss(prediction: Float[Tensor, "n h w"], fixations: Real[Tensor, "n h w"]) -> Float[Tensor, "n"]:
    """Mean over each image's fixations of the prediction in population standard deviations.

    `fixations` counts the fixations at each pixel. An image without any scores 0, and so drops
    out of a summed loss; to report a mean score, average over `fixations.sum((1, 2)) > 0`.
    A constant prediction scores 0 with gradient 0.
    """
    m = _at_least_float32(prediction)
    # NSS ignores shift and scale. On [0, 1], no map's size is lost to rounding; the two
    # numbers carry no gradient, since none passes through a shift or a scale.
    low = m.detach().amin(dim=(1, 2), keepdim=True)
    high = m.detach().amax(dim=(1, 2), keepdim=True)
    constant = high - low <= FLAT * torch.maximum(high.abs(), low.abs())
    unit = (m - low) / torch.where(constant, torch.inf, high - low)
    variance, mean = torch.var_mean(unit, dim=(1, 2), correction=0, keepdim=True)
    z = (unit - mean) / (variance + EPS**2).sqrt()  # the root's slope at 0 is infinite
    counts = fixations.to(z.dtype)
    return (counts * z).sum(dim=(1, 2)) / counts.sum(dim=(1, 2)).clamp(min=1)


def unit_distance(
    maps: Float[Tensor, "n l i j"], target: Float[Tensor, "n h w"]
) -> Float[Tensor, "n"]:
    """Σ_l ‖R/‖R‖₂ - A_l/‖A_l‖₂‖₂ of each image's maps A_l >= 0 and target R (FACTS §8.4).

    The target is brought to the maps' size by antialiased bicubic weights, and what these leave
    below 0 is 0. An image whose target is 0 everywhere, as of one that nobody painted on, has the
    distance 0 and no gradient. A distance of unit vectors >= 0 lies in [0, √2].
    """
    r = F.interpolate(
        _at_least_float32(target).unsqueeze(1), maps.shape[2:], mode="bicubic", antialias=True
    ).clamp(min=0)
    difference = _unit(_at_least_float32(maps)) - _unit(r)
    # The root's slope is infinite where the two agree.
    distance = (difference.square().sum(dim=(2, 3)) + EPS**2).sqrt().sum(dim=1)
    return torch.where(target.amax(dim=(1, 2)) > 0, distance, 0.0)


def _unit(maps: Float[Tensor, "n l i j"]) -> Float[Tensor, "n l i j"]:
    """Each map over its L2 norm; one that is 0 stays so."""
    return maps / (maps.square().sum(dim=(2, 3), keepdim=True) + EPS**2).sqrt()


def _distribution(maps: Tensor) -> Tensor:
    m = _at_least_float32(maps)
    return m / (m.sum(dim=(1, 2), keepdim=True) + EPS)


def _at_least_float32(maps: Tensor) -> Tensor:
    return maps.to(torch.promote_types(maps.dtype, torch.float32))
