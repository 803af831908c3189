"""The mask of AIB's WRN for CIFAR: a branch like ABN's (Fukui et al. 2019; FACTS §9.1)."""

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.units import WideUnit, draw_convolutions


class Mask(nn.Module):
    """The mean μ in (0, 1), one value a cell, of what the next stage would make of all cells.

    A stage of `units` wide units, of twice the channels and without a stride; batch norm and a
    ReLU; a 1×1 convolution to `classes` maps, batch norm and a ReLU; a 3×3 one to a single map,
    batch norm and a sigmoid. In a WRN of depth d a stage has (d - 4) / 6 units. The public code
    says that its results from before 2021 were without the first ReLU (STUDIES §D.2): `first_relu`
    leaves it out, as ABN does.
    """

    drawn = True  # whether a mask of this mean may be drawn about it

    def __init__(self, channels: int, *, units: int, classes: int, first_relu: bool = True) -> None:
        super().__init__()
        for name, count in (("units", units), ("classes", classes)):
            if count < 1:
                raise ValueError(f"the mask wide_branch has {count} {name}; expected at least 1")
        planes = 2 * channels
        self.mean = nn.Sequential(
            *(WideUnit(planes if n else channels, planes, stride=1) for n in range(units)),
            nn.BatchNorm2d(planes),
            nn.ReLU(inplace=True) if first_relu else nn.Identity(),
            nn.Conv2d(planes, classes, 1, bias=False),
            nn.BatchNorm2d(classes),
            nn.ReLU(inplace=True),
            nn.Conv2d(classes, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
        )
        draw_convolutions(self.mean, partial(nn.init.kaiming_normal_, mode="fan_out"))

    def forward(self, maps: Float[Tensor, "n c i j"]) -> Float[Tensor, "n i j"]:
        return torch.sigmoid(self.mean(maps)).squeeze(1)
