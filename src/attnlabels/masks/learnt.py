"""A mask that is learnt: a convolution and a sigmoid (Lai et al., IJCAI 2021; FACTS §9.1)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mask(nn.Module):
    """The mean μ = sigmoid(conv 3×3(F)) in (0, 1), one value a cell."""

    drawn = True  # whether a mask of this mean may be drawn about it

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, maps: Float[Tensor, "n c i j"]) -> Float[Tensor, "n i j"]:
        return torch.sigmoid(self.mean(maps)).squeeze(1)
