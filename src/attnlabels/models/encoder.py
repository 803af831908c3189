"""ResNet encoders built as SimCLR builds them (google-research/simclr:resnet.py)."""

import importlib.util
import itertools
import math
from types import ModuleType
from typing import Literal, NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.units import BasicBlock, Bottleneck

Backbone = Literal["resnet10", "resnet18", "resnet34", "resnet50"]
Stem = Literal["imagenet", "small", "cifar"]
Taps = Literal["stages", "units"]

BACKBONES: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet10": (BasicBlock, (1, 1, 1, 1)),
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class Stages(NamedTuple):
    """Maps of the three taps, each after its last ReLU, so >= 0, and the block's mask.

    The mask is empty, [n, 0, 0], of a block that has none; `attended` are the maps of the attention
    inside of units, >= 0, in their order, and empty where there is none, [n, 0, 0, 0]. `pooled` is
    the representation where it is not the spatial mean of the last tap, and empty otherwise,
    [n, 0]: timm's networks pool as they do themselves, and their maps may be negative.
    """

    first: Float[Tensor, "n c i j"]
    second: Float[Tensor, "n c i j"]
    last: Float[Tensor, "n c i j"]
    mask: Float[Tensor, "n i j"]
    attended: Float[Tensor, "n l i j"]
    pooled: Float[Tensor, "n d"]


class Encoder(nn.Module):
    """A residual network that returns the maps of its last three blocks.

    Parameter names are those of torchvision and timm (`conv1`, `bn1`, `layer1.0.conv1`, ...), so
    with `width=64` and the stem "imagenet" its weights load there as they stand, and with "cifar"
    once `conv1` and `maxpool` there are those of CIFAR (docs/export.md).

    `stem`: "imagenet" 7×7 stride 2 and max-pool, cumulative stride 4; "small" 3×3 stride 2;
    "cifar" 3×3 stride 1, for images of 32 pixels.

    `taps`: the paper's "last three blocks" are the "stages" 2, 3 and 4, or the last three residual
    "units", all near the end (A1).

    `zero_init`: the last BN gain of each block starts at 0, so each block as the identity. A gain
    moves by a learning rate a step under Adam, which is too slow for runs of some hundred steps.

    `block`: what the last stage's maps pass before they are returned and averaged, the module
    `attnlabels.blocks.<block>`; "none" for a plain ResNet.

    `unit_attention`: what the dense path of a residual unit passes before the shortcut is added,
    the module `attnlabels.unit_attention.<unit_attention>`, in all units of the stage
    `attended_stage` (Linsley et al. 2019: the third); None for none.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        width: int,
        stem: Stem,
        taps: Taps,
        zero_init: bool,
        block: str = "none",
        unit_attention: str | None = None,
        attended_stage: int = 3,
    ) -> None:
        super().__init__()
        unit, depths = BACKBONES[backbone]
        kernel, stride = {"imagenet": (7, 2), "small": (3, 2), "cifar": (3, 1)}[stem]
        self.conv1 = nn.Conv2d(3, width, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        # Paper: SimCLR's is TensorFlow's SAME, which pads an even side at its end alone, and so has
        # its windows a pixel on. Here both sides are padded, as torchvision and timm have it.
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if stem == "imagenet" else nn.Identity()
        channels = width
        stages = []
        for index, depth in enumerate(depths):
            planes = width * 2**index
            stages.append(_stage(unit, channels, planes, depth, stride=1 if index == 0 else 2))
            channels = planes * unit.expansion
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.n_features = channels
        n_units = sum(depths)
        ends = tuple(itertools.accumulate(depths))  # of stages; units are counted from 1
        self.taps = ends[1:] if taps == "stages" else (n_units - 2, n_units - 1, n_units)
        self.block = module_named("block", block, room="attnlabels.blocks").Block(channels)
        if not 1 <= attended_stage <= len(depths):
            raise ValueError(f"attended_stage is {attended_stage}; expected 1 to {len(depths)}")
        self.attentions, depth = nn.ModuleList(), depths[attended_stage - 1]
        self.first_attended = ends[attended_stage - 1] - depth + 1
        if unit_attention is not None:
            room = "attnlabels.unit_attention"
            attention = module_named("unit_attention", unit_attention, room=room).Attention
            width_there = width * 2 ** (attended_stage - 1) * unit.expansion
            self.attentions.extend(attention(width_there) for _ in range(depth))
        _initialise(self, zero_init=zero_init)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Stages:
        """The taps' maps, the last of them through the block.

        `images` lie in [0, 1]. SimCLR subtracts no mean and divides by no deviation.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        tapped: list[Tensor] = []
        attended: list[Tensor] = []
        units = itertools.chain(self.layer1, self.layer2, self.layer3, self.layer4)
        for number, unit in enumerate(units, start=1):
            if 0 <= number - self.first_attended < len(self.attentions):
                paths = cast(BasicBlock | Bottleneck, unit)
                dense, map = self.attentions[number - self.first_attended](paths.dense(x))
                x = self.relu(dense + paths.shortcut(x))
                attended.append(map)
            else:
                x = unit(x)
            if number in self.taps:
                tapped.append(x)
        first, second, last = tapped
        maps = torch.stack(attended, dim=1) if attended else last.new_empty(last.shape[0], 0, 0, 0)
        last, mask = self.block(last)
        return Stages(first, second, last, mask, maps, last.new_empty(last.shape[0], 0))


def stages_of(
    first: Float[Tensor, "n _ _ _"],
    second: Float[Tensor, "n _ _ _"],
    last: Float[Tensor, "n _ _ _"],
) -> Stages:
    """The maps of three depths of any network, for an attention head to read."""
    n = last.shape[0]
    return Stages(
        first,
        second,
        last,
        mask=last.new_empty(n, 0, 0),
        attended=last.new_empty(n, 0, 0, 0),
        pooled=last.new_empty(n, 0),
    )


def pooled(stages: Stages) -> Float[Tensor, "n d"]:
    """The representation as training has it: the spatial mean of the last stage, or timm's own."""
    return stages.pooled if stages.pooled.shape[1] else stages.last.mean(dim=(2, 3))


def features(stages: Stages) -> Float[Tensor, "n d"]:
    """The representation that is transferred."""
    if stages.pooled.shape[1]:
        return stages.pooled.float()
    return stages.last.float().mean(dim=(2, 3))  # not in bf16: it rounds to 0.4 %


def module_named(slot: str, name: str, *, room: str) -> ModuleType:
    """What a row's `slot` names in a `room`; raises ValueError for a name that is not there."""
    # By name, the only such imports: with a table of a slot's classes here, editing one of them
    # would make every trained run stale.
    module = f"{room}.{name}"
    named = name.isidentifier() and name[0] != "_"
    if not named or importlib.util.find_spec(module) is None:
        raise ValueError(f"no {slot} {name!r}: expected a module of {room}")
    return importlib.import_module(module)


def _stage(
    unit: type[BasicBlock] | type[Bottleneck],
    channels: int,
    planes: int,
    depth: int,
    *,
    stride: int,
) -> nn.Sequential:
    # Paper: SimCLR projects the shortcut of each stage's first block even where shapes agree. In
    # ResNet-18/34's first stage torchvision and timm do not, nor do we, so that weights travel.
    shortcut = None
    if stride != 1 or channels != planes * unit.expansion:
        shortcut = nn.Sequential(
            nn.Conv2d(channels, planes * unit.expansion, 1, stride, bias=False),
            nn.BatchNorm2d(planes * unit.expansion),
        )
    first = unit(channels, planes, stride, shortcut)
    rest = [unit(planes * unit.expansion, planes) for _ in range(depth - 1)]
    return nn.Sequential(first, *rest)


def _initialise(encoder: nn.Module, *, zero_init: bool) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            # TensorFlow's variance scaling, of which SimCLR's convolutions start: variance
            # 1 / fan-in; a normal cut at two deviations has 0.8796 of its deviation left.
            deviation = math.sqrt(1 / fan_in) / 0.87962566
            nn.init.trunc_normal_(module.weight, 0, deviation, -2 * deviation, 2 * deviation)
        elif zero_init and isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif zero_init and isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
