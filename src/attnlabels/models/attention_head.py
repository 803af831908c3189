"""The student's attention head: pooled maps of three stages, one linear readout (paper §3.3)."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.encoder import Stages

Select = Literal["local_mean_max", "gap_argmax", "channel_max", "channel_mean"]
Output = Literal["spatial_softmax", "softplus", "sigmoid"]
Stage = Float[Tensor, "n c i j"]


def local_mean_max(stage: Stage) -> Float[Tensor, "n i j"]:
    """Reading R5: 3×3 average pooling, then the largest channel at each pixel."""
    return F.avg_pool2d(stage, 3, stride=1, padding=1, count_include_pad=False).amax(dim=1)


def gap_argmax(stage: Stage) -> Float[Tensor, "n i j"]:
    """Reading R1: the channel whose global average is the largest."""
    best = stage.mean(dim=(2, 3)).argmax(dim=1)
    return stage[torch.arange(len(stage), device=stage.device), best]


def channel_max(stage: Stage) -> Float[Tensor, "n i j"]:
    """Reading R2: the largest channel at each pixel."""
    return stage.amax(dim=1)


def channel_mean(stage: Stage) -> Float[Tensor, "n i j"]:
    """Reading R3: the mean over channels."""
    return stage.mean(dim=1)


# Paper: "global average pooling, max channel, resize" taken literally gives one number an image
# and so a constant map, on which neither KLD nor NSS can move. These are readings that can be
# computed (A2); R5 keeps averaging and maximum and feeds every pixel, and a trial favours it.
SELECT: dict[str, Callable[[Tensor], Tensor]] = {
    "local_mean_max": local_mean_max,
    "gap_argmax": gap_argmax,
    "channel_max": channel_max,
    "channel_mean": channel_mean,
}


def spatial_softmax(logits: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """A distribution over the image, times its number of pixels: the mean is 1.

    A bias moves nothing here: it shifts all logits of an image alike.
    """
    n, h, w = logits.shape
    return logits.reshape(n, h * w).softmax(dim=1).reshape(n, h, w) * (h * w)


# Paper: the readout is linear and may be negative, yet the loss divides it by its sum. These make
# it a map; a spatial softmax worked best in a trial (A3).
OUTPUT: dict[str, Callable[[Tensor], Tensor]] = {
    "spatial_softmax": spatial_softmax,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
}


class AttentionHead(nn.Module):
    """Four parameters: a weight for each of three stages, and a bias.

    `size` is the side of the square map. Paper: the input's side. A quarter of it costs 1/16 and
    differs by interpolation alone, the finest stage having an eighth (A4).
    """

    def __init__(self, *, select: Select, output: Output, size: int) -> None:
        super().__init__()
        self.select, self.output, self.size = SELECT[select], OUTPUT[output], size
        self.readout = nn.Linear(3, 1)
        nn.init.constant_(self.readout.weight, 1 / 3)  # a random sign could start against the map
        nn.init.constant_(self.readout.bias, -2.0)  # a low floor under softplus and sigmoid

    def selected(self, stages: Stages) -> Float[Tensor, "n h w 3"]:
        """One map a stage, enlarged and stacked: what the readout weighs."""
        size = (self.size, self.size)
        wide = torch.promote_types(stages.first.dtype, torch.float32)
        tapped = (stages.first, stages.second, stages.last)
        maps = [self.select(stage).to(wide).unsqueeze(1) for stage in tapped]
        enlarged = [F.interpolate(each, size, mode="bilinear") for each in maps]
        return torch.cat(enlarged, dim=1).permute(0, 2, 3, 1)

    def read(self, selected: Float[Tensor, "n h w 3"]) -> Float[Tensor, "n h w"]:
        """Attention maps, >= 0, from the stacked maps. In float32 also under autocast."""
        with torch.autocast(selected.device.type, enabled=False):
            return self.output(self.readout(selected).squeeze(-1))

    def forward(self, stages: Stages, contrast: object = None) -> Float[Tensor, "n h w"]:
        """Attention maps [n, size, size] of the images whose stage maps are given.

        Called as every source of `attnlabels.models.attention_maps`; a readout asks no contrast.
        """
        return self.read(self.selected(stages))
