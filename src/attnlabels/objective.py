"""The paper's objective: named terms and their weighted sum (paper §3.3, §4.3).

    L = contrastive + λ·KLD - β·NSS + probe

The term `nss` is minus the NSS, so all weights are >= 0. Each term is a mean over images. Paper:
sums the attention terms over the batch; that is these means with λ and β times its size (A8).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from attnlabels.losses import attention
from attnlabels.losses.nt_xent import nt_xent


@runtime_checkable  # beartype asks while testing
class Outputs(Protocol):
    """What a student returns: see `attnlabels.models.student.Outputs`."""

    @property
    def z0(self) -> Tensor: ...
    @property
    def z1(self) -> Tensor: ...
    @property
    def logits(self) -> Tensor: ...
    @property
    def attention(self) -> Tensor: ...


class Targets(NamedTuple):
    """What the outputs are held against: a batch's labels, and the temperature of the contrast.

    `maps` are >= 0 and of any scale; `fixations` count the points at each of their pixels.
    """

    labels: Int[Tensor, " n"]
    maps: Float[Tensor, "n h w"]
    fixations: Float[Tensor, "n h w"]
    temperature: float


def contrastive(outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
    """NT-Xent between the two views."""
    return nt_xent(outputs.z0, outputs.z1, temperature=targets.temperature)


def kld(outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
    """Divergence of the predicted from the labelled map, mean over images."""
    return attention.kld(outputs.attention, targets.maps).mean()


def kld_reversed(outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
    """KLD weighed by the prediction: the other reading of the paper's formula (A16)."""
    return attention.kld(targets.maps, outputs.attention).mean()


def nss(outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
    """Minus the NSS at the labelled fixations, mean over all images; 0 for one without any."""
    return -attention.nss(outputs.attention, targets.fixations).mean()


def nss_unbiased(outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
    """`nss` with the unbiased deviation, as SimpleNet takes it (A9)."""
    pixels = outputs.attention[0].numel()
    return nss(outputs, targets) * math.sqrt((pixels - 1) / pixels)


def probe(outputs: Outputs, targets: Targets) -> Float[Tensor, ""]:
    """Cross-entropy of the concurrent probe on both views (google-research/simclr:tf2/model.py)."""
    logits = outputs.logits.float().flatten(0, 1)
    return F.cross_entropy(logits, targets.labels.repeat_interleave(2))


TERMS: dict[str, Callable[[Outputs, Targets], Tensor]] = {
    "contrastive": contrastive,
    "kld": kld,
    "kld_reversed": kld_reversed,
    "nss": nss,
    "nss_unbiased": nss_unbiased,
    "probe": probe,
}


def objective(
    outputs: Outputs, targets: Targets, *, weights: Mapping[str, float]
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The weighted sum of the terms that `weights` names, and each term by itself.

    Raises ValueError if it names what is no term, or nothing, and FloatingPointError with all
    terms' values if one is not finite.
    """
    unknown = weights.keys() - TERMS.keys()
    if unknown:
        raise ValueError(f"no such terms: {sorted(unknown)}; expected some of {sorted(TERMS)}")
    if not weights:
        raise ValueError(f"the weights name no term; expected some of {sorted(TERMS)}")
    terms = {name: TERMS[name](outputs, targets) for name in weights}
    total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
    if not torch.isfinite(total):
        values = {name: float(term.detach()) for name, term in terms.items()}
        raise FloatingPointError(f"the loss is not finite: {values}")
    return total, terms
