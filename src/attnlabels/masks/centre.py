"""A mask that is the same for all images: the control of a mask that looks at none."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Mask(nn.Module):
    """1 in the cells nearest to the centre, a `share` of all, and 0 in the others.

    Cells as far as each other are taken from the upper left on.
    """

    drawn = False

    def __init__(self, channels: int, *, share: float) -> None:
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"the centre mask's share is {share}; expected one between 0 and 1")
        self.share = share

    def forward(self, maps: Float[Tensor, "n c i j"]) -> Float[Tensor, "n i j"]:
        n, _, rows, columns = maps.shape
        y, x = ((torch.arange(size) + 0.5) / size - 0.5 for size in (rows, columns))
        far = (y[:, None].square() + x.square()).flatten()
        inside = far.argsort(stable=True)[: round(self.share * len(far))]
        mask = torch.zeros(rows * columns)
        mask[inside] = 1.0
        return mask.view(1, rows, columns).to(maps).expand(n, -1, -1)
