"""As many numbers as GALA learns, and no attention: the control of a larger network."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.unit_attention._norms import norm_over_channels
from attnlabels.unit_attention.se import REDUCTION


class Attention(nn.Module):
    """y + V_expand * ReLU(V_shrink * y) with 1×1 convolutions; the map is that of what it leaves.

    With r = c // 4, GALA holds 3·c·r + 3·c + 3·r + 1 numbers. Of h hidden channels this holds
    2·c·h + c + h; h is the whole number that comes closest.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        c, r = channels, channels // REDUCTION
        hidden = round((3 * c * r + 2 * c + 3 * r + 1) / (2 * c + 1))
        self.shrink = nn.Conv2d(c, hidden, 1)
        self.expand = nn.Conv2d(hidden, c, 1)

    def forward(
        self, y: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        more = y + self.expand(F.relu(self.shrink(y)))
        return more, norm_over_channels(more)
