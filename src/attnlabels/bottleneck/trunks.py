"""Networks as stages in a row, so that something may stand between two of them.

ResNets as they are elsewhere here, and the two of AIB's public code for CIFAR (FACTS §9.1).
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.encoder import BACKBONES, Backbone, Encoder, Stem
from attnlabels.models.units import WideUnit, draw_convolutions

Trunked = Backbone | Literal["vgg", "wrn16_4", "wrn28_10"]
VGG = (  # channels of a stage's convolutions, times the width, and whether it ends in pooling
    ((1, 1), False),
    ((2, 2), False),
    ((4, 4, 4), True),
    ((8, 8, 8), True),
    ((8, 8, 8), True),
)


class Trunk(nn.Module):
    """Stages, each of which is given the maps of the one before, and the channels they put out."""

    def __init__(self, stages: Sequence[nn.Module], channels: Sequence[int]) -> None:
        super().__init__()
        self.stages, self.channels = nn.ModuleList(stages), tuple(channels)

    def between(
        self, maps: Float[Tensor, "n _ _ _"], first: int, last: int
    ) -> Float[Tensor, "n _ _ _"]:
        """The maps that the stages after `first`, and up to `last`, make; counted from 1."""
        for stage in self.stages[first:last]:
            maps = stage(maps)
        return maps


def resnet(backbone: Backbone, width: int, *, stem: Stem, zero_init: bool) -> Trunk:
    """Its four stages, the first with what is before it."""
    network = Encoder(backbone, width=width, stem=stem, taps="stages", zero_init=zero_init)
    first = (network.conv1, network.bn1, network.relu, network.maxpool, network.layer1)
    expansion = BACKBONES[backbone][0].expansion
    channels = [width * 2**stage * expansion for stage in range(4)]
    return Trunk([nn.Sequential(*first), network.layer2, network.layer3, network.layer4], channels)


def vgg(width: int, **of_resnets: object) -> Trunk:
    """AIB's VGG for CIFAR, whose mask is behind its third stage: of 32 pixels 16×16 cells.

    The last stage is two convolutions, each pooled, and a 1×1 "dense" one.
    """
    stages, inputs = list[nn.Module](), 3
    for times, is_pooled in VGG:
        planes = [width * each for each in times]
        layers: list[nn.Module] = [_convolved(a, b) for a, b in pairwise([inputs, *planes])]
        stages.append(nn.Sequential(*layers, *([nn.MaxPool2d(2)] if is_pooled else [])))
        inputs = planes[-1]
    ends = [nn.Sequential(_convolved(inputs, inputs), nn.MaxPool2d(2)) for _ in range(2)]
    dense = nn.Sequential(nn.Conv2d(inputs, inputs, 1), nn.ReLU(inplace=True))
    trunk = Trunk(
        [*stages, nn.Sequential(*ends, dense)], [*(width * times[-1] for times, _ in VGG), inputs]
    )
    draw_convolutions(trunk, nn.init.xavier_uniform_)
    return trunk


def wide_resnet(depth: int, widening: int, width: int, **of_resnets: object) -> Trunk:
    """A WRN (Zagoruyko & Komodakis 2016) of three stages, the last with its batch norm and ReLU.

    AIB's mask is behind its second stage. Paper's code: drops 0.3 of the numbers within a unit.
    Here none: what is dropped would be another after an interruption, or among more processes.
    """
    units, planes = (depth - 4) // 6, [width * widening * 2**stage for stage in range(3)]
    stages: list[list[nn.Module]] = []
    for stage, (inputs, outputs) in enumerate(pairwise([width, *planes])):
        rest = [WideUnit(outputs, outputs, stride=1) for _ in range(units - 1)]
        stages.append([WideUnit(inputs, outputs, stride=2 if stage else 1), *rest])
    stages[0].insert(0, nn.Conv2d(3, width, 3, padding=1, bias=False))
    stages[-1] += [nn.BatchNorm2d(planes[-1]), nn.ReLU(inplace=True)]
    trunk = Trunk([nn.Sequential(*stage) for stage in stages], planes)
    draw_convolutions(trunk, partial(nn.init.kaiming_normal_, mode="fan_out"))
    return trunk


# `width`: channels of a ResNet's or a VGG's first convolution, 64 in their papers, 16 of a WRN's.
TRUNKS: dict[str, Callable[..., Trunk]] = {
    **{name: partial(resnet, name) for name in get_args(Backbone)},
    "vgg": vgg,
    "wrn16_4": partial(wide_resnet, 16, 4),
    "wrn28_10": partial(wide_resnet, 28, 10),
}


def build_trunk(backbone: str, *, width: int, stem: Stem, zero_init: bool) -> Trunk:
    """The network of that name, with weights drawn from torch's generator.

    `stem` and `zero_init` are a ResNet's (`attnlabels.models.encoder.Encoder`), and change
    no other network.
    """
    return TRUNKS[backbone](width, stem=stem, zero_init=zero_init)


def _convolved(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
