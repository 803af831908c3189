"""The contrastive student with its attention head and its concurrent probe (paper §3.3, §4.3)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Outputs(NamedTuple):
    """What the objective's terms read, a row an image; `logits` are the probe's on both views."""

    z0: Float[Tensor, "n d"]
    z1: Float[Tensor, "n d"]
    logits: Float[Tensor, "n 2 k"]
    attention: Float[Tensor, "n h w"]


class Student(nn.Module):
    """Encoder, projector, attention head and linear probe around one forward pass."""

    def __init__(
        self, encoder: nn.Module, projector: nn.Module, attention: nn.Module, probe: nn.Module
    ) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector
        self.attention, self.probe = attention, probe

    def forward(
        self,
        view0: Float[Tensor, "n 3 h w"],
        view1: Float[Tensor, "n 3 h w"],
        clean: Float[Tensor, "n 3 h w"],
        *,
        joint: bool,
        stop_gradient: bool,
    ) -> Outputs:
        """Two views for contrast and probe, the clean image for attention; pixels in [0, 1].

        `joint`: all three share one pass and so their BN statistics, in the baseline too;
        otherwise the clean images pass alone (A7). `stop_gradient`: the attention loss does not
        reach the encoder, which is the paper's baseline.
        """
        n = len(clean)
        if joint:
            stages = self.encoder(torch.cat([view0, view1, clean]))
            contrasted = tuple(stage[: 2 * n] for stage in stages)
            attended = tuple(stage[2 * n :] for stage in stages)
        else:
            contrasted = self.encoder(torch.cat([view0, view1]))
            attended = self.encoder(clean)
        if stop_gradient:
            attended = tuple(stage.detach() for stage in attended)
        h = contrasted[-1].mean(dim=(2, 3))
        z0, z1 = self.projector(h).chunk(2)
        # The probe only watches the features (google-research/simclr:tf2/model.py).
        logits = self.probe(h.detach()).unflatten(0, (2, n)).transpose(0, 1)
        return Outputs(z0, z1, logits, self.attention(attended))
