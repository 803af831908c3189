"""No block: the maps pass as they are."""

from jaxtyping import Float
from torch import Tensor, nn


class Block(nn.Module):
    """The identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(
        self, maps: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n 0 0"]]:
        """The maps, and no mask."""
        return maps, maps.new_empty(len(maps), 0, 0)
