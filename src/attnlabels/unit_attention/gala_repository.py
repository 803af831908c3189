"""GALA as the authors' code has it, where that is another than the paper's (FACTS §8.7)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.unit_attention.se import REDUCTION, Squeeze

LOCAL = 5  # pixels a side of the middle convolution of where to attend


class Attention(nn.Module):
    """y ⊙ A with A = sigmoid(a ⊙ (G + S) + m ⊙ (G ⊙ S)), as `gala` but for four things.

    The squash is a sigmoid, so signs stay; G is rectified, as the layers of its path have the
    default activation; S passes a 5×5 convolution and a ReLU on its way; and the map is the mean of
    squares over channels. Its place in the network, a unit's input, and its sum over the batch are
    not taken over: rows of one study differ in one thing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // REDUCTION
        self.what = Squeeze(channels)
        self.shrink = nn.Conv2d(channels, hidden, 1)
        self.local = nn.Conv2d(hidden, hidden, LOCAL, padding=LOCAL // 2)
        self.collapse = nn.Conv2d(hidden, 1, 1)
        self.additive = nn.Parameter(torch.ones(channels))  # of one axis: gains do not decay
        self.multiplicative = nn.Parameter(torch.ones(channels))

    def forward(
        self, y: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        what = F.relu(self.what(y))
        where = self.collapse(F.relu(self.local(F.relu(self.shrink(y)))))
        a, m = self.additive[:, None, None], self.multiplicative[:, None, None]
        attention = torch.sigmoid(a * (what + where) + m * (what * where))
        return y * attention, attention.float().square().mean(dim=1)
