"""The contrastive student with its attention head and its concurrent probe (paper §3.3, §4.3)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.attention_maps import Contrast, Gather, alone, build_attention
from attnlabels.models.encoder import Encoder, Stages
from attnlabels.models.probe import linear_probe
from attnlabels.models.projector import projector


class Outputs(NamedTuple):
    """What the objective's terms read, a row an image; `logits` are the probe's on both views.

    `attention` has a row for each attended image; without any it is empty, [n, 0, 0].
    """

    z0: Float[Tensor, "n d"]
    z1: Float[Tensor, "n d"]
    logits: Float[Tensor, "n 2 k"]
    attention: Float[Tensor, "m h w"]


class Student(nn.Module):
    """Encoder, projector, attention and linear probe around one forward pass."""

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, attention: nn.Module, probe: nn.Linear
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.attention, self.probe = attention, probe

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
        h = contrasted.last.mean(dim=(2, 3))
        z0, z1 = self.projector(h).chunk(2)
        # The probe only watches the features (google-research/simclr:tf2/model.py).
        logits = self.probe(h.detach()).unflatten(0, (2, len(view0))).transpose(0, 1)
        if seen is None:
            return Outputs(z0, z1, logits, h.new_empty(len(view0), 0, 0))
        if stop_gradient:
            seen = detach(seen)
        maps = self.attention(seen, Contrast(self.projector, gather))
        return Outputs(z0, z1, logits, maps)


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

    `config` holds the arguments of its `encoder`, `projector` and `attention`.
    """
    encoder = Encoder(**config["encoder"])
    head = projector(encoder.n_features, **config["projector"])
    probe = linear_probe(encoder.n_features, n_classes)
    return Student(encoder, head, build_attention(**config["attention"]), probe)
