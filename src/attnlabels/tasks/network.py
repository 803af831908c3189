"""The network of every task: three convolutions, attention in a slot, and the task's head."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.blocks import mask, none, residual_mask

LEAST = 1e-7  # of a map's largest value


class Outputs(NamedTuple):
    """What a network says of examples, and the mask it attended by, of 0 x 0 cells if none."""

    predicted: Tensor
    mask: Tensor


class Learnt(nn.Module):
    """A block that makes its mask of the features."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(
        self, maps: Float[Tensor, "n c i j"], given: Float[Tensor, "n h w"]
    ) -> tuple[Float[Tensor, "n c i j"], Tensor]:
        return self.block(maps)


class Side(nn.Module):
    """A mask that multiplies nothing: what maps teach as labels, without attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = mask.Block(channels)

    def forward(
        self, maps: Float[Tensor, "n c i j"], given: Float[Tensor, "n h w"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        return maps, self.block(maps)[1]


class Given(nn.Module):
    """F ⊙ (1 + W / max W) of a map W that comes with the example, as `residual_mask` has it."""

    def forward(
        self, maps: Float[Tensor, "n c i j"], given: Float[Tensor, "n h w"]
    ) -> tuple[Float[Tensor, "n c i j"], Float[Tensor, "n i j"]]:
        cells = F.interpolate(given[:, None], maps.shape[2:], mode="area")
        weights = cells / cells.amax(dim=(2, 3), keepdim=True).clamp(min=LEAST)
        return maps * (1 + weights), weights[:, 0]


# What fills the slot. All of a task's runs are trained by one stage, so no run is spared by having
# them apart, as encoders' blocks are.
BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: Learnt(none.Block(channels)),
    "mask": lambda channels: Learnt(mask.Block(channels)),
    "residual_mask": lambda channels: Learnt(residual_mask.Block(channels)),
    "side": Side,
    "given": lambda channels: Given(),
}


class Network(nn.Module):
    """Features at half of the sides, which a skip may take, and at a quarter, which are attended.

    `shown` and `given`, a map of the example, have the same sides, which are multiples of 4.
    """

    def __init__(
        self, in_channels: int, channels: Sequence[int], *, block: str, head: nn.Module
    ) -> None:
        super().__init__()
        shallow, middle, deep = channels
        self.shallow = _layer(in_channels, shallow, stride=2)
        self.middle = _layer(shallow, middle, stride=1)
        self.deep = _layer(middle, deep, stride=1)
        self.block = BLOCKS[block](deep)
        self.head = head

    def forward(self, shown: Float[Tensor, "n c h w"], given: Float[Tensor, "n h w"]) -> Outputs:
        skip = self.middle(self.shallow(shown))
        attended, found = self.block(self.deep(F.max_pool2d(skip, 2)), given)
        return Outputs(self.head(attended, skip), found)


def _layer(before: int, after: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
