"""How attention of many channels becomes a map."""

from jaxtyping import Float
from torch import Tensor

# Below what any unit puts out; keeps the root's slope finite where all channels are 0.
EPS = 1e-12


def norm_over_channels(y: Float[Tensor, "n c i j"]) -> Float[Tensor, "n i j"]:
    """The L2 norm over channels at each place, in float32 (FACTS §8.4)."""
    return (y.float().square().sum(dim=1) + EPS).sqrt()
