"""The mask of AIB's wide residual network: a branch of its own, as in Attention Branch Network.

ashleylqx/AIB, after Fukui et al., CVPR 2019 (FACTS §9.1, STUDIES §D.2).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.units import BasicBlock


class Mask(nn.Module):
    """The mean in (0, 1) by residual units of `planes` channels, and then, each behind batch norm,
    a 1×1 convolution to `classes` maps, a ReLU, and a 3×3 convolution to one map.

    Paper: the units are a copy of the network's third block at stride 1. Here they are units of
    He et al. 2016 of as many channels, as those of a wide network pass a shortcut that is not
    normalised, which its last block's batch norm would have to follow.
    """

    drawn = True

    def __init__(self, channels: int, *, planes: int, units: int, classes: int) -> None:
        super().__init__()
        shortcut = nn.Sequential(nn.Conv2d(channels, planes, 1, bias=False), nn.BatchNorm2d(planes))
        rest = [BasicBlock(planes, planes) for _ in range(units - 1)]
        self.units = nn.Sequential(BasicBlock(channels, planes, 1, shortcut), *rest)
        self.mean = nn.Sequential(
            nn.BatchNorm2d(planes),
            nn.Conv2d(planes, classes, 1, bias=False),
            nn.BatchNorm2d(classes),
            nn.ReLU(inplace=True),
            nn.Conv2d(classes, 1, 3, padding=1, bias=False),
            nn.BatchNorm2d(1),
        )

    def forward(self, maps: Float[Tensor, "n c i j"]) -> Float[Tensor, "n i j"]:
        return torch.sigmoid(self.mean(self.units(maps))).squeeze(1)
