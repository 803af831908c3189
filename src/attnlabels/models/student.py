"""The contrastive student with its attention head and its concurrent probe (paper §3.3, §4.3)."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.attention_maps import Contrast, Gather, alone, build_attention
from attnlabels.models.encoder import Stages, pooled
from attnlabels.models.probe import linear_probe
from attnlabels.models.projector import predictor, projector
from attnlabels.models.timm_encoder import build_encoder


class Outputs(NamedTuple):
    """What the objective's terms read, a row an image; `logits` are the probe's on both views.

    `attention` has a row for each attended image; without any it is empty, [n, 0, 0]. `p0` and `p1`
    are what the predictor makes of `z0` and `z1`, `k0` and `k1` the momentum encoder's projections;
    empty, [n, 0], of a student without.
    """

    z0: Float[Tensor, "n d"]
    z1: Float[Tensor, "n d"]
    logits: Float[Tensor, "n 2 k"]
    attention: Float[Tensor, "m h w"]
    p0: Float[Tensor, "n p"]
    p1: Float[Tensor, "n p"]
    k0: Float[Tensor, "n k"]
    k1: Float[Tensor, "n k"]


class Momentum(nn.Module):
    """A copy of encoder and projector that no gradient moves and that follows their weights.

    Its weights are running means of theirs; of its own passes come the statistics of its batch norm
    (Grill et al., NeurIPS 2020; facebookresearch/moco-v3:moco/builder.py).
    """

    def __init__(self, encoder: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = copy.deepcopy(encoder), copy.deepcopy(projector)
        self.requires_grad_(False)

    @torch.no_grad()
    def forward(self, views: list[Tensor]) -> Tensor:
        """Projections of the views, one view after the other, all in one pass.

        Paper: BYOL and MoCo v3 pass each view alone. As the student's here, so that both networks
        have batch norm over the same images.
        """
        return self.projector(pooled(self.encoder(torch.cat(views))))

    @torch.no_grad()
    def follow(self, student: "Student", *, momentum: float) -> None:
        """Keep the share `momentum` of each weight, and take the rest of the student's."""
        for part in ("encoder", "projector"):
            own, other = self.get_submodule(part), student.get_submodule(part)
            for weight, new in zip(own.parameters(), other.parameters(), strict=True):
                weight.lerp_(new, 1 - momentum)


class Student(nn.Module):
    """Encoder, projector, attention and linear probe around one forward pass.

    And a `predictor` of projections, and a `momentum` encoder, if its loss asks for them.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        attention: nn.Module,
        probe: nn.Linear,
        *,
        predictor: nn.Module | None = None,
        momentum: Momentum | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.attention, self.probe = attention, probe
        self.predictor, self.momentum = predictor, momentum

    def forward(
        self,
        view0: Float[Tensor, "n 3 h w"],
        view1: Float[Tensor, "n 3 h w"],
        attended: Float[Tensor, "m 3 h w"] | None = None,
        *,
        joint: bool,
        stop_gradient: bool,
        gather: Gather = alone,
    ) -> Outputs:
        """Two views for contrast and probe, the attended images for attention; pixels in [0, 1].

        `attended` are the same images clean, others in co-training, or none in plain SimCLR.
        `joint`: all of them share one pass and so their BN statistics, in the baseline too;
        otherwise the attended images pass alone (A7). `stop_gradient`: the attention loss does not
        reach the encoder, which is the paper's baseline. `gather` is for attention that comes of
        the contrast between images (`attnlabels.models.attention_maps.Contrast`).
        """
        contrasted, seen = encode(self.encoder, [view0, view1], attended, joint=joint)
        h = pooled(contrasted)
        z = self.projector(h)
        z0, z1 = z.chunk(2)
        empty = h.new_empty(2 * len(view0), 0)
        predicted = empty if self.predictor is None else self.predictor(z)
        keys = empty if self.momentum is None else self.momentum([view0, view1])
        others = (*predicted.chunk(2), *keys.chunk(2))
        # The probe only watches the features (google-research/simclr:tf2/model.py).
        logits = self.probe(h.detach()).unflatten(0, (2, len(view0))).transpose(0, 1)
        if seen is None:
            return Outputs(z0, z1, logits, h.new_empty(len(view0), 0, 0), *others)
        if stop_gradient:
            seen = detach(seen)
        maps = self.attention(seen, Contrast(self.projector, gather))
        return Outputs(z0, z1, logits, maps, *others)


def encode(
    encoder: nn.Module, views: list[Tensor], attended: Tensor | None, *, joint: bool
) -> tuple[Stages, Stages | None]:
    """The stages of the views, one view after the other, and of the attended images.

    `joint`: in one pass, so that batch norm takes its statistics over all of them.
    """
    if attended is None:
        return encoder(torch.cat(views)), None
    if not joint:
        return encoder(torch.cat(views)), encoder(attended)
    stages = encoder(torch.cat([*views, attended]))
    n = sum(map(len, views))
    return Stages(*(each[:n] for each in stages)), Stages(*(each[n:] for each in stages))


def detach(stages: Stages) -> Stages:
    """The same maps, through which no gradient passes."""
    return Stages(*(each.detach() for each in stages))


def build_student(config: Mapping[str, Any], *, n_classes: int) -> Student:
    """The student that `config` says, with weights drawn from torch's generator.

    `config` holds the arguments of its `encoder`, `projector` and `attention` and, where it has
    one, those of its `predictor`, and whether it has a `momentum` encoder.
    """
    encoder = build_encoder(**config["encoder"])
    head = projector(encoder.n_features, **config["projector"])
    probe = linear_probe(encoder.n_features, n_classes)
    attention = build_attention(**config["attention"])
    n_outputs = config["projector"]["n_outputs"]
    predicting = config.get("predictor")
    return Student(
        encoder,
        head,
        attention,
        probe,
        predictor=predictor(n_outputs, **predicting) if predicting else None,
        momentum=Momentum(encoder, head) if config.get("momentum") else None,
    )
