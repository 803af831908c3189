"""An attention block: a mask of the maps that multiplies them (paper §4.3, after Lai et al. 2020).

Whether attention labels guide the mask ("explicit attention block") or the encoder's own loss alone
makes it ("self attention mask") is for the run to say.
"""

from jaxtyping import Float
from torch import Tensor, nn


class Block(nn.Module):
    """F ⊙ A with A = sigmoid(conv 1×1(ReLU(conv 3×3(F)))), one value a pixel.

    Paper: the block's inside is not given. This is the recommended form of FACTS §6.4: a quarter
    of the channels between the two convolutions.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask = nn.Sequential(
            nn.Conv2d(channels, channels // 4, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels // 4, 1, 1),
            nn.Sigmoid(),
        )

    def forward(
        self, maps: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        """The masked maps, and the mask in (0, 1)."""
        mask = self.mask(maps)
        return maps * mask, mask.squeeze(1)
