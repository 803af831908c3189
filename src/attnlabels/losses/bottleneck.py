"""What a bottleneck on attention costs: divergences in bits, and distances to anchors.

After Lai et al., IJCAI 2021, and ashleylqx/AIB (FACTS §9.2, §9.3; STUDIES §D.3). What passes the
bottleneck is drawn from N(m, s²), by a mean and a deviation for each number, and costs its
Kullback-Leibler divergence from N(0, 1).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BIT = math.log(2)  # in nats


def divergence(mean: Float[Tensor, "*d"], deviation: Float[Tensor, "*d"]) -> Float[Tensor, "*d"]:
    """KL(N(m, s²) ‖ N(0, 1)) in bits, by number; its slope by s is s - 1/s nats, 0 at s = 1.

    `deviation` > 0 is that by which the numbers are drawn.
    """
    m, s = wide(mean), wide(deviation)
    return ((s.square() + m.square() - 1) / 2 - s.log()) / BIT


def divergence_repository(
    mean: Float[Tensor, "*d"], deviation: Float[Tensor, "*d"]
) -> Float[Tensor, "*d"]:
    """KL(N(m, exp(s)²) ‖ N(0, 1)) in bits, by number; its slope by s is exp(2s) - 1 nats.

    So in the paper's public code, which draws with the deviation s all the same: it is least where
    s -> 0, and noise is rewarded to vanish (STUDIES §D.3).
    """
    m, s = wide(mean), wide(deviation)
    return (((2 * s).exp() + m.square() - 1) / 2 - s) / BIT


def distance(one: Float[Tensor, "n *d"], other: Float[Tensor, "n *d"]) -> Float[Tensor, ""]:
    """Mean square of what two lack of each other; no gradient reaches the `other`."""
    return F.mse_loss(wide(one), wide(other).detach())


def wide(values: Tensor) -> Tensor:
    """In float32, or in double where they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
