"""The saliency teacher: MobileNetV3-small from random weights, read at four depths (paper §3.2)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small

Output = Literal["learnt_offset", "tanh_half", "logits_sigmoid", "literal_minmax", "literal"]

# Channels of torchvision's `features[i]` (pytorch/vision:torchvision/models/mobilenetv3.py). For i
# from 2 to 11 Keras calls it `expanded_conv_{i-1}` (keras:keras/applications/mobilenet_v3.py).
CHANNELS = (16, 16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96, 576)
STRIDES = (2, 4, 8, 8, 16, 16, 16, 16, 16, 32, 32, 32, 32)


def minmax(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Each map stretched to [0, 1]; a flat one becomes 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-7)  # float32 steps by 6e-8 below 1


# Paper: the sum s of four ReLU outputs is >= 0, so its sigmoid never falls below 0.5 and no map can
# say "not here" (A5). "literal" is that; the others lift the floor, each to a range of its own:
#   learnt_offset   (0, 1)    σ(s + b), the scalar b learnt from -3
#   tanh_half       [0, 1)    2σ(s) - 1
#   logits_sigmoid  (0, 1)    σ(s) of branches without their last ReLU
#   literal_minmax  [0, 1]    σ(s) stretched by image
#   literal         [0.5, 1)
OUTPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "learnt_offset": torch.sigmoid,
    "tanh_half": lambda total: torch.tanh(total / 2),
    "logits_sigmoid": torch.sigmoid,
    "literal_minmax": lambda total: minmax(torch.sigmoid(total)),
    "literal": torch.sigmoid,
}


class Branch(nn.Module):
    """3×3 conv, max pooling of 3, ReLU, 1×1 conv to one channel and, if `rectify`, ReLU.

    Paper: names no stride of the pooling; with `pool_stride` 1 the map keeps the tap's size.
    """

    def __init__(self, channels: int, *, pool_stride: int, rectify: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.pool = nn.MaxPool2d(3, stride=pool_stride, padding=1)
        self.collapse = nn.Conv2d(channels, 1, 1)
        self.rectify = rectify
        # A branch whose 1×1 output is negative everywhere would have no gradient for ever.
        nn.init.uniform_(self.collapse.weight, 0.0, 2.0 / channels)
        assert self.collapse.bias is not None
        nn.init.constant_(self.collapse.bias, 0.1)

    def forward(self, tap: Float[Tensor, "n c i j"]) -> Float[Tensor, "n 1 a b"]:
        """The branch's map at its own resolution."""
        branch = self.collapse(F.relu(self.pool(self.conv(tap))))
        return F.relu(branch) if self.rectify else branch


class Teacher(nn.Module):
    """Predicts a map of human attention, in [0, 1], for an image.

    `taps` index torchvision's `features`. Paper: names "conv 2, 4, 6, 8"; as Keras counts, these
    are (3, 5, 7, 9), of strides 8, 16, 16, 32. What follows the last tap is not built. The
    branches hold Σ (9c² + 2c + 1) parameters, 123,684 for those taps, and the offset one more.

    An image whose sides the `stride` does not divide is extended by its last row and column, and
    the map is cut: a branch is then drawn as far from its tap's centres at any size. Otherwise 240
    rows, which 32 rounds up to 8 cells, would be drawn with 30 rows a cell for the 32 that it saw.
    """

    def __init__(self, *, taps: Sequence[int], pool_stride: int, output: Output) -> None:
        super().__init__()
        possible = range(len(CHANNELS))
        if not taps or list(taps) != sorted(set(taps)) or not set(taps) <= set(possible):
            raise ValueError(
                f"taps {list(taps)}: expected increasing numbers from 0 to {possible[-1]}"
            )
        self.stride = STRIDES[taps[-1]] * pool_stride
        self.taps, self.output = tuple(taps), OUTPUT[output]
        self.backbone = mobilenet_v3_small(weights=None).features[: taps[-1] + 1]
        self.branches = nn.ModuleList(
            Branch(CHANNELS[tap], pool_stride=pool_stride, rectify=output != "logits_sigmoid")
            for tap in taps
        )
        learnt = output == "learnt_offset"
        self.offset = nn.Parameter(torch.tensor(-3.0)) if learnt else None

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
        """Maps at the resolution of `images`, which lie in [0, 1]."""
        h, w = images.shape[2:]
        x = (images * 2).sub_(1)  # Keras' MobileNetV3 rescales pixels to [-1, 1] too
        x = F.pad(x, (0, -w % self.stride, 0, -h % self.stride), mode="replicate")
        total = x.new_zeros(len(x), 1, *x.shape[2:], dtype=torch.float32)
        if self.offset is not None:
            total = total + self.offset
        depth = 0
        for tap, branch in zip(self.taps, self.branches):
            x = self.backbone[depth : tap + 1](x)
            depth = tap + 1
            total += F.interpolate(branch(x).float(), total.shape[2:], mode="bilinear")
        return self.output(total.squeeze(1)[:, :h, :w])
