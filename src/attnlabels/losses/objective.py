"""The paper's objective: named terms and their weighted sum (paper §3.3, §4.3).

    L = contrastive + λ·KLD - β·NSS + probe        or, supervised, classification in the place of
                                                   contrast and probe

The term `nss` is minus the NSS, so all weights are >= 0. Each term is a mean over images. Paper:
sums the attention terms over the batch; that is these means with λ and β times its size (A8).
"""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from attnlabels.losses import attention, bottleneck, prediction, redundancy
from attnlabels.losses import harmonization as input_gradient
from attnlabels.losses.nt_xent import nt_xent

# What terms ask of a network's outputs; beartype asks while testing. See the `Outputs` of
# `attnlabels.models.student` and `attnlabels.models.classifier`.


@runtime_checkable
class Contrasting(Protocol):
    @property
    def z0(self) -> Tensor: ...
    @property
    def z1(self) -> Tensor: ...


@runtime_checkable
class Predicting(Protocol):
    @property
    def p0(self) -> Tensor: ...
    @property
    def p1(self) -> Tensor: ...
    @property
    def z0(self) -> Tensor: ...
    @property
    def z1(self) -> Tensor: ...


@runtime_checkable
class Keyed(Protocol):
    @property
    def p0(self) -> Tensor: ...
    @property
    def p1(self) -> Tensor: ...
    @property
    def k0(self) -> Tensor: ...
    @property
    def k1(self) -> Tensor: ...


@runtime_checkable
class Classifying(Protocol):
    @property
    def logits(self) -> Tensor: ...


@runtime_checkable
class Attending(Protocol):
    @property
    def attention(self) -> Tensor: ...


@runtime_checkable
class UnitAttending(Protocol):
    @property
    def attended(self) -> Tensor: ...


@runtime_checkable
class Explained(Protocol):
    @property
    def gradient(self) -> Tensor: ...


@runtime_checkable
class Coded(Protocol):
    @property
    def code_mean(self) -> Tensor: ...
    @property
    def code_deviation(self) -> Tensor: ...


@runtime_checkable
class Masked(Protocol):
    @property
    def mask_mean(self) -> Tensor: ...
    @property
    def mask_deviation(self) -> Tensor: ...


@runtime_checkable
class Anchored(Protocol):
    @property
    def drawn(self) -> Tensor: ...
    @property
    def anchored(self) -> Tensor: ...


class Targets(NamedTuple):
    """What the outputs are held against: a batch's labels, and the temperature of the contrast.

    `maps` are of the m attended images, >= 0, with sums far above the 1e-7 that is added to them
    (FACTS §5.4), as of maps up to 1; `fixations` count the points at
    each of their pixels. `view_maps` are of the views that are classified, cropped and mirrored
    with them, and 0 everywhere where there is none. What no term of a run reads is None.
    """

    labels: Int[Tensor, " n"]
    maps: Float[Tensor, "m h w"] | None
    fixations: Float[Tensor, "m h w"] | None
    temperature: float | None
    view_maps: Float[Tensor, "n a b"] | None = None


def contrastive(outputs: Contrasting, targets: Targets) -> Float[Tensor, ""]:
    """NT-Xent between the two views."""
    assert targets.temperature is not None
    return nt_xent(outputs.z0, outputs.z1, temperature=targets.temperature)


def barlow_twins(outputs: Contrasting, targets: Targets) -> Float[Tensor, ""]:
    """Barlow Twins between the two views, with the paper's weight of the off-diagonal."""
    return redundancy.barlow_twins(outputs.z0, outputs.z1, off_diagonal=BARLOW_TWINS_OFF_DIAGONAL)


def vicreg(outputs: Contrasting, targets: Targets) -> Float[Tensor, ""]:
    """VICReg between the two views, with the paper's weights."""
    return redundancy.vicreg(outputs.z0, outputs.z1, **VICREG_WEIGHTS)


def simsiam(outputs: Predicting, targets: Targets) -> Float[Tensor, ""]:
    """What each view predicts of the other's projection."""
    return prediction.simsiam(outputs.p0, outputs.p1, outputs.z0, outputs.z1)


def byol(outputs: Keyed, targets: Targets) -> Float[Tensor, ""]:
    """What each view predicts of the other's projection by the momentum encoder."""
    return prediction.byol(outputs.p0, outputs.p1, outputs.k0, outputs.k1)


def moco(outputs: Keyed, targets: Targets) -> Float[Tensor, ""]:
    """MoCo v3: that prediction against those keys of all images."""
    assert targets.temperature is not None
    given = outputs.p0, outputs.p1, outputs.k0, outputs.k1
    return prediction.moco(*given, temperature=targets.temperature)


def kld(outputs: Attending, targets: Targets) -> Float[Tensor, ""]:
    """Divergence of the predicted from the labelled map, mean over images."""
    assert targets.maps is not None
    return attention.kld(outputs.attention, targets.maps).mean()


def kld_reversed(outputs: Attending, targets: Targets) -> Float[Tensor, ""]:
    """KLD weighed by the prediction: the other reading of the paper's formula (A16).

    Mean over all images; 0 for one that nobody looked at, as of `kld`.
    """
    assert targets.maps is not None
    divergence = attention.kld(targets.maps, outputs.attention)
    return torch.where(targets.maps.amax(dim=(1, 2)) > 0, divergence, 0.0).mean()


def nss(outputs: Attending, targets: Targets) -> Float[Tensor, ""]:
    """Minus the NSS at the labelled fixations, mean over all images; 0 for one without any."""
    assert targets.fixations is not None
    return -attention.nss(outputs.attention, targets.fixations).mean()


def nss_unbiased(outputs: Attending, targets: Targets) -> Float[Tensor, ""]:
    """`nss` with the unbiased deviation, as SimpleNet takes it (A9)."""
    pixels = outputs.attention[0].numel()
    return nss(outputs, targets) * math.sqrt((pixels - 1) / pixels)


def probe(outputs: Classifying, targets: Targets) -> Float[Tensor, ""]:
    """Cross-entropy of class logits on each view.

    Of the concurrent probe, which only watches the features, on both views
    (google-research/simclr:tf2/model.py); of the supervised classifier on its one.
    """
    logits = outputs.logits.float()
    n_views = logits.shape[1]
    return F.cross_entropy(logits.flatten(0, 1), targets.labels.repeat_interleave(n_views))


def unit_distance(outputs: UnitAttending, targets: Targets) -> Float[Tensor, ""]:
    """Of the attention inside of units from people's maps, Σ_l ‖R̂ - Â‖₂, mean over all images."""
    assert targets.view_maps is not None
    return attention.unit_distance(outputs.attended, targets.view_maps).mean()


def harmonization(outputs: Explained, targets: Targets) -> Float[Tensor, ""]:
    """Of the input gradient of the true class from people's maps, mean over all images."""
    assert targets.view_maps is not None
    return input_gradient.harmonization(outputs.gradient, targets.view_maps).mean()


def classification_bits(outputs: Classifying, targets: Targets) -> Float[Tensor, ""]:
    """Cross-entropy of the class in bits, beside which bits of a code have the weight β."""
    return probe(outputs, targets) / bottleneck.BIT


def code_bits(outputs: Coded, targets: Targets) -> Float[Tensor, ""]:
    """What codes tell of images at most: bits, summed over a code's numbers, mean over codes."""
    return bottleneck.divergence(outputs.code_mean, outputs.code_deviation).sum(dim=-1).mean()


def code_bits_repository(outputs: Coded, targets: Targets) -> Float[Tensor, ""]:
    """The same with the public code's deviation."""
    told = bottleneck.divergence_repository(outputs.code_mean, outputs.code_deviation)
    return told.sum(dim=-1).mean()


def mask_bits(outputs: Masked, targets: Targets) -> Float[Tensor, ""]:
    """What a cell of a mask tells at most, in bits, mean over cells, as in the author's AIBR."""
    return bottleneck.divergence(outputs.mask_mean, outputs.mask_deviation).mean()


def codebook(outputs: Anchored, targets: Targets) -> Float[Tensor, ""]:
    """Of anchors from the drawn values that are nearest to them: it moves the anchors alone."""
    return bottleneck.distance(outputs.anchored, outputs.drawn)


def commitment(outputs: Anchored, targets: Targets) -> Float[Tensor, ""]:
    """The same distance; it moves the values alone."""
    return bottleneck.distance(outputs.drawn, outputs.anchored)


TERMS: dict[str, Callable[[Any, Targets], Tensor]] = {
    "contrastive": contrastive,
    "barlow_twins": barlow_twins,
    "vicreg": vicreg,
    "simsiam": simsiam,
    "byol": byol,
    "moco": moco,
    "kld": kld,
    "kld_reversed": kld_reversed,
    "nss": nss,
    "nss_unbiased": nss_unbiased,
    "probe": probe,
    "classification": probe,  # the same of logits whose gradient reaches the encoder
    "unit_distance": unit_distance,
    "harmonization": harmonization,
    "classification_bits": classification_bits,
    "code_bits": code_bits,
    "code_bits_repository": code_bits_repository,
    "mask_bits": mask_bits,
    "codebook": codebook,
    "commitment": commitment,
}
ATTENTION_TERMS = ("kld", "kld_reversed", "nss", "nss_unbiased")
VIEW_TERMS = ("unit_distance", "harmonization")  # those of maps of the classified view itself
# Those of what is drawn in a bottleneck, by what a run gives for them.
CODE_TERMS = ("code_bits", "code_bits_repository")
MASK_TERMS = ("mask_bits",)
ANCHOR_TERMS = ("codebook", "commitment")
BOTTLENECK_TERMS = (*CODE_TERMS, *MASK_TERMS, *ANCHOR_TERMS)
# Those of the projections of two views, and which parts of a student one needs beside a projector.
PAIR_TERMS: dict[str, frozenset[str]] = {
    "contrastive": frozenset(),
    "barlow_twins": frozenset(),
    "vicreg": frozenset(),
    "simsiam": frozenset({"predictor"}),
    "byol": frozenset({"predictor", "momentum"}),
    "moco": frozenset({"predictor", "momentum"}),
}
BARLOW_TWINS_OFF_DIAGONAL = 0.005  # λ, Zbontar et al., section 2.2
VICREG_WEIGHTS = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0}  # λ, μ, ν; section 4.2


def require_terms(weights: Iterable[str], *, without: Iterable[str] = ()) -> None:
    """Raises ValueError for weights of what is no term, or one of those a method is `without`."""
    known = TERMS.keys() - {*without}
    if unknown := {*weights} - known:
        raise ValueError(f"no such terms: {sorted(unknown)}; expected some of {sorted(known)}")


def require_parts(weights: Iterable[str], parts: Iterable[str]) -> None:
    """Raises ValueError unless a student's further parts are just those that its terms need."""
    needs = {name: PAIR_TERMS[name] for name in weights if name in PAIR_TERMS}
    given = {*parts}
    for name, needed in needs.items():
        if missing := sorted(needed - given):
            raise ValueError(
                f"the term {name} needs a {' and a '.join(missing)}, which the run does not give; "
                f"add {' and '.join(missing)} to its row"
            )
    if idle := sorted(given - frozenset().union(*needs.values())):
        readers = [name for name, needed in PAIR_TERMS.items() if idle[0] in needed]
        raise ValueError(
            f"the run gives a {idle[0]} that none of its terms reads; remove it from its row, or "
            f"weigh {' or '.join(readers)}"
        )


def objective(
    outputs: Any, targets: Targets, *, weights: Mapping[str, float]
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """The weighted sum of the terms that `weights` names, and each term by itself.

    Raises ValueError if it names what is no term, or nothing, and FloatingPointError with all
    terms' values if one is not finite.
    """
    require_terms(weights)
    if not weights:
        raise ValueError(f"the weights name no term; expected some of {sorted(TERMS)}")
    terms = {name: TERMS[name](outputs, targets) for name in weights}
    total = torch.stack([weight * terms[name] for name, weight in weights.items()]).sum()
    if not torch.isfinite(total):
        values = {name: float(term.detach()) for name, term in terms.items()}
        raise FloatingPointError(f"the loss is not finite: {values}")
    return total, terms
