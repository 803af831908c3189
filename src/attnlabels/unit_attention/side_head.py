"""A head that predicts the map and multiplies nothing: the control of several tasks.

What maps teach a network with this head, they teach it as labels and not as attention.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Attention(nn.Module):
    """The identity, and softplus of a 1×1 convolution of the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(
        self, y: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        return y, F.softplus(self.head(y).squeeze(1).float())
