"""σ of pseudo fixations, fitted so that a teacher's maps give as many as people's own do.

A predicted map is broader than people's: it is unsure where they look. With the σ of people's
densities, one hill of it is taken down by several Gaussians.
"""

import logging
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.processes.loading import as_input
from attnlabels.training.teachers import Recordings

REDUCTION = 4  # of the teacher's input, as the paper's maps of 56 are of 224 px
THRESHOLD = 0.2  # footnote 2
MAXIMUM = 1024  # no cap: it would hide how many there are
LEAST, MOST = 0.5, 8.0  # times the σ of the densities
NEAR = 1.01  # an end of that range, to what STEPS resolve
STEPS = 10  # halvings of the range of its logarithm: to 0.3 %

log = logging.getLogger(__name__)


def fit_to(
    teacher: nn.Module, dev: Recordings, *, sigma_px: tuple[float, float]
) -> tuple[float, float]:
    """`fit_sigma` on the images that chose the epoch."""
    images, densities = (list(map(torch.from_numpy, some)) for some in (dev.images, dev.maps))
    batch_size = dev.recipe.batch_size
    return fit_sigma(teacher, images, densities, sigma_px=sigma_px, batch_size=batch_size)


def fit_sigma(
    teacher: nn.Module,
    images: Sequence[UInt8[Tensor, "h w 3"]],
    densities: Sequence[Float[Tensor, "h w"]],
    *,
    sigma_px: tuple[float, float],
    batch_size: int,
) -> tuple[float, float]:
    """The σ, down and across, with which maps of `images` give as many points as their `densities`.

    Those are searched with their own `sigma_px`; both in pixels of the teacher's input, of which
    images and densities are. The mean number of points is what agrees, and the shape of the
    Gaussian stays. It lies within 0.5 and 8 times `sigma_px`; an end is taken with a warning.
    """
    own = (sigma_px[0] / REDUCTION, sigma_px[1] / REDUCTION)
    target = mean_count(reduced(torch.stack(list(densities))), sigma_px=own)
    device = next(teacher.parameters()).device
    teacher.eval()
    with torch.no_grad():
        batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
        maps = [teacher(as_input(torch.stack(list(each)).to(device))).cpu() for each in batches]
    drawn = reduced(torch.cat(maps))
    low, high = math.log(LEAST), math.log(MOST)
    for _ in range(STEPS):
        middle = (low + high) / 2
        wide = math.exp(middle)
        if mean_count(drawn, sigma_px=(wide * own[0], wide * own[1])) > target:
            low = middle
        else:
            high = middle
    wide = math.exp(high)
    if not LEAST * NEAR < wide < MOST / NEAR:
        log.warning(
            "fitted σ: no σ from %g to %g times that of the densities finds as many points in the "
            "teacher's maps as in people's (%.1f an image); taken is %.2f times, so label with the "
            "teacher's own σ or train it longer",
            LEAST,
            MOST,
            target,
            wide,
        )
    return wide * sigma_px[0], wide * sigma_px[1]


def reduced(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n i j"]:
    h, w = (max(1, side // REDUCTION) for side in maps.shape[1:])
    return F.interpolate(maps.float().unsqueeze(1), (h, w), mode="area").squeeze(1)


def mean_count(maps: Float[Tensor, "n h w"], *, sigma_px: tuple[float, float]) -> float:
    _, counts = pseudo_fixations(maps, sigma_px=sigma_px, threshold=THRESHOLD, maximum=MAXIMUM)
    return float(counts.double().mean())
