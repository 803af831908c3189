"""Global and local attention, GALA (Linsley et al., ICLR 2019, §3; FACTS §8.3)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.unit_attention._norms import norm_over_channels
from attnlabels.unit_attention.se import REDUCTION, Squeeze


class Attention(nn.Module):
    """y ⊙ A with A = tanh(a ⊙ (G + S) + m ⊙ (G ⊙ S)), signed; a and m are learnt for each channel.

    G is what to attend, a number a channel as in `se` but without its sigmoid; S is where, a number
    a place: V_collapse * ReLU(V_shrink * y), 1×1 convolutions to c / 4 channels and to one.

    With r = c // 4 it holds 3·c·r + 3·c + 3·r + 1 numbers, biases with them.

    Paper: says nothing of where a and m begin. Both begin at 1, so that sum and product of G and S
    weigh alike. So A is no small number at first: its magnitude is 0.4 to 0.7 on average in the
    networks tried. Where the last gain of a unit begins at 0 (`zero_init`) it is below 0.2.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.what = Squeeze(channels)
        self.shrink = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.collapse = nn.Conv2d(channels // REDUCTION, 1, 1)
        self.additive = nn.Parameter(torch.ones(channels))  # of one axis: gains do not decay
        self.multiplicative = nn.Parameter(torch.ones(channels))

    def forward(
        self, y: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        what, where = self.what(y), self.collapse(F.relu(self.shrink(y)))
        a, m = self.additive[:, None, None], self.multiplicative[:, None, None]
        attention = torch.tanh(a * (what + where) + m * (what * where))
        return y * attention, norm_over_channels(attention)
