"""The saliency teacher: a backbone read at several depths, and a branch on each (paper §3.2)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.teachers.backbones import MobileNet, TimmNetwork

Output = Literal["learnt_offset", "tanh_half", "logits_sigmoid", "literal_minmax", "literal"]

WIDEST = 128  # channels of a branch on a backbone of timm


def minmax(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """Each map stretched to [0, 1]; a flat one becomes 0."""
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    return (maps - low) / (high - low).clamp_min(1e-7)  # float32 steps by 6e-8 below 1


# Paper: the sum s of four ReLU outputs is >= 0, so its sigmoid never falls below 0.5 and no map can
# say "not here" (A5). "literal" is that; the others lift the floor, each to a range of its own:
#   learnt_offset   (0, 1)    σ(s + b), the scalar b learnt
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

    def __init__(
        self, channels: int, *, pool_stride: int, rectify: bool, widest: int | None = None
    ) -> None:
        super().__init__()
        # Paper: its taps have 24 to 96 channels. On 2048 the 3×3 convolution alone would have 38
        # million weights, so there a 1×1 convolution to `widest` channels comes first.
        self.squeeze: nn.Module = nn.Identity()
        if widest is not None and channels > widest:
            self.squeeze, channels = nn.Conv2d(channels, widest, 1), widest
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
        branch = self.collapse(F.relu(self.pool(self.conv(self.squeeze(tap)))))
        return F.relu(branch) if self.rectify else branch


class Teacher(nn.Module):
    """Predicts a map of human attention, in [0, 1], for an image.

    `taps` index torchvision's `features` of MobileNetV3-small, whose weights are drawn at random.
    Paper: names "conv 2, 4, 6, 8"; as Keras counts, these are (3, 5, 7, 9), of strides 8, 16, 16,
    32. What follows the last tap is not built. The branches hold Σ (9c² + 2c + 1) parameters,
    123,684 for those taps, and the offset one more, learnt from `offset`. Its start matters: it
    hardly moves. From -3 no place gets less than 0.05; far below, σ(s + b) is e^(s + b), and the
    map over its sum a softmax, which can say "nobody looked here".

    With a `backbone`, `timm:NAME`, `taps` count that network's feature levels, None being its own
    three (`TimmNetwork`, which also says what `weights`, `prefix` and errors are). `architecture`
    is what builds such a teacher again, without the file of weights.

    An image whose sides the `stride` does not divide is extended by its last row and column, and
    the map is cut: a branch is then drawn as far from its tap's centres at any size. Otherwise 240
    rows, which 32 rounds up to 8 cells, would be drawn with 30 rows a cell for the 32 that it saw.
    """

    def __init__(
        self,
        *,
        taps: Sequence[int] | None,
        pool_stride: int,
        output: Output,
        offset: float = -3.0,
        backbone: str | None = None,
        weights: Path | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__()
        self.backbone: MobileNet | TimmNetwork
        if backbone is None:
            self.backbone = MobileNet(taps or ())
        else:
            self.backbone = TimmNetwork(backbone, taps, weights=weights, prefix=prefix)
        self.has_weights = weights is not None  # of the backbone, from before this training
        self.is_frozen = False
        self.architecture: dict[str, Any] = {
            "taps": self.backbone.taps,
            "pool_stride": pool_stride,
            "output": output,
            **({} if backbone is None else {"backbone": backbone}),
        }
        self.stride, self.output = max(self.backbone.strides) * pool_stride, OUTPUT[output]
        self.branches = nn.ModuleList(
            Branch(
                channels,
                pool_stride=pool_stride,
                rectify=output != "logits_sigmoid",
                widest=None if backbone is None else WIDEST,
            )
            for channels in self.backbone.channels
        )
        learnt = output == "learnt_offset"
        self.offset = nn.Parameter(torch.tensor(offset)) if learnt else None

    def freeze(self) -> None:
        """Leave the backbone as it is from now on, its batch norm's statistics too."""
        self.is_frozen = True
        self.backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "Teacher":
        """As any module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.is_frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
        """Maps at the resolution of `images`, which lie in [0, 1]."""
        h, w = images.shape[2:]
        x = F.pad(images, (0, -w % self.stride, 0, -h % self.stride), mode="replicate")
        # shape[0]: `len` is a constant to torch.export, which then goes the slow way in `export`
        total = x.new_zeros(x.shape[0], 1, *x.shape[2:], dtype=torch.float32)
        if self.offset is not None:
            total = total + self.offset
        for tap, branch in zip(self.backbone(x), self.branches):
            total += F.interpolate(branch(tap).float(), total.shape[2:], mode="bilinear")
        return self.output(total.squeeze(1)[:, :h, :w])

    def both_ways(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
        """The mean of the maps of `images` and of their mirror images, turned back."""
        return (self(images) + self(images.flip(3)).flip(2)) / 2
