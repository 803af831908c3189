"""No attention: the maps are the features' (Linsley et al. 2019, "ResNet-50 w/ ClickMe")."""

from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.unit_attention._norms import norm_over_channels


class Attention(nn.Module):
    """The identity, and the L2 norm of the features over channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(
        self, y: Float[Tensor, "n c i j"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        return y, norm_over_channels(y)
