"""The attention block with a way around it, as in AIB's code (ashleylqx/AIB:cifar_va.py)."""

from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.blocks import mask


class Block(nn.Module):
    """F ⊙ (1 + A): a mask that can stress a place, and hide none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.masked = mask.Block(channels)

    def forward(
        self, maps: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        """The maps with the masked ones added, and the mask in (0, 1)."""
        masked, weights = self.masked(maps)
        return maps + masked, weights
