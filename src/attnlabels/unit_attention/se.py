"""Squeeze-and-excitation (Hu et al., CVPR 2018): what to attend, one gain a channel."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.unit_attention._norms import norm_over_channels

REDUCTION = 4  # r, as Linsley et al. 2019 have it; Hu et al. 16


class Squeeze(nn.Module):
    """W_expand · ReLU(W_shrink · p) of the spatial mean p: a number a channel, [n, c, 1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < REDUCTION:
            raise ValueError(
                f"{channels} channels; attention keeps one in {REDUCTION}: widen the network"
            )
        self.shrink = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.expand = nn.Conv2d(channels // REDUCTION, channels, 1)

    def forward(self, y: Float[Tensor, "n c i j"]) -> Float[Tensor, "n c 1 1"]:
        return self.expand(F.relu(self.shrink(y.mean(dim=(2, 3), keepdim=True))))


class Attention(nn.Module):
    """y ⊙ sigmoid(W_expand · ReLU(W_shrink · p)).

    The attention is the same at all places, so the map is that of the features it leaves.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.what = Squeeze(channels)

    def forward(
        self, y: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        attended = y * torch.sigmoid(self.what(y))
        return attended, norm_over_channels(attended)
