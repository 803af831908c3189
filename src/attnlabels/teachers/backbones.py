"""What a teacher reads an image by: torchvision's MobileNetV3-small, or any network of timm.

A backbone takes images in [0, 1], normalises them as it is used to, and gives its maps at some
depths, the `taps`, with their `channels` and `strides`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.pretrained.checkpoints import fill
from attnlabels.pretrained.timm_networks import (
    create_for_any_size,
    heads_of,
    levels_of,
    three_of,
)

LIBRARY = "timm:"  # begins the name of a backbone

# Channels of torchvision's `features[i]` (pytorch/vision:torchvision/models/mobilenetv3.py). For i
# from 2 to 11 Keras calls it `expanded_conv_{i-1}` (keras:keras/applications/mobilenet_v3.py).
CHANNELS = (16, 16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96, 576)
STRIDES = (2, 4, 8, 8, 16, 16, 16, 16, 16, 32, 32, 32, 32)


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """What a teacher's branches are put on; as it stands, MobileNetV3-small from random weights.

    Raises ValueError for parts that do not go together.
    """

    name: str | None = None  # timm:NAME
    weights: Path | None = None  # a file, any trainer's; never downloaded
    prefix: str | None = None  # which of several networks in that file
    frozen: bool = False  # it stays as it is, and the branches alone learn

    def __post_init__(self) -> None:
        if self.name is not None and not self.name.startswith(LIBRARY):
            raise ValueError(f"backbone {self.name!r}: expected {LIBRARY}NAME")
        if self.weights is not None and self.name is None:
            raise ValueError(f"{self.weights}: weights of what? name the backbone, {LIBRARY}NAME")
        if self.prefix is not None and self.weights is None:
            raise ValueError(f"prefix {self.prefix!r}: of which file? give the backbone's weights")
        if self.frozen and self.weights is None:
            raise ValueError("a frozen backbone of random weights sees little; give its weights")


class MobileNet(nn.Module):
    """torchvision's MobileNetV3-small up to the last of the `taps`, which index its `features`."""

    folds = True  # each batch norm follows, in its parent, the convolution that it normalises

    def __init__(self, taps: Sequence[int]) -> None:
        super().__init__()
        _require_taps(taps, n=len(CHANNELS))
        # Not before: it brings torch's compiler, two seconds for who has no such teacher.
        network = import_module("torchvision.models").mobilenet_v3_small(weights=None)
        for depth, layer in enumerate(network.features[: taps[-1] + 1]):
            self.add_module(str(depth), layer)
        self.taps = tuple(taps)
        self.channels = [CHANNELS[tap] for tap in taps]
        self.strides = [STRIDES[tap] for tap in taps]

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Iterator[Float[Tensor, "n _ _ _"]]:
        """Its maps at the taps, of images in [0, 1], each computed once it is asked for."""
        x = (images * 2).sub_(1)  # Keras' MobileNetV3 rescales pixels to [-1, 1] too
        for depth, layer in enumerate(self.children()):
            x = layer(x)
            if depth in self.taps:
                yield x


class TimmNetwork(nn.Module):
    """A network of timm, `timm:NAME`, up to the last of the `taps`, which count its feature levels.

    By default the taps are the last levels of the last three strides, 8, 16 and 32 of most; of a
    plain transformer, whose tokens become maps, the ends of three equal parts of its depth. Without
    a file of `weights` it has those that timm draws. `prefix` is where they were in the file.

    Raises ValueError for a name that timm does not know, for weights that do not fit, and for a
    network without feature levels or with a fixed size of images; FileNotFoundError without a file.
    """

    folds = False  # what follows what, timm's code alone says

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        taps: Sequence[int] | None = None,
        *,
        weights: Path | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__()
        network: Any = create_for_any_size(name.removeprefix(LIBRARY))
        if weights is not None:
            where = f"{name}: {weights}"
            prefix = fill(network, weights, heads=heads_of(network), prefix=prefix, where=where)
        self.prefix = prefix
        try:
            levels = levels_of(network)
            strides = [level["reduction"] for level in levels]
            self.taps = tuple(three_of(strides) if taps is None else taps)
            _require_taps(self.taps, n=len(levels))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
        network.prune_intermediate_layers(list(self.taps), prune_norm=True, prune_head=True)
        self.network = network
        self.channels = [int(levels[tap]["num_chs"]) for tap in self.taps]
        self.strides = [int(strides[tap]) for tap in self.taps]
        for key in ("mean", "std"):
            self.register_buffer(key, torch.tensor(network.pretrained_cfg[key])[:, None, None])
        self._require_maps(name)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> list[Float[Tensor, "n _ _ _"]]:
        """Its maps at the taps, of images in [0, 1]."""
        x = (images - self.mean) / self.std
        return self.network.forward_intermediates(
            x, indices=list(self.taps), intermediates_only=True
        )

    @torch.no_grad()
    def _require_maps(self, name: str) -> None:
        """Raises ValueError unless there are maps, as timm tells, of an image that is no square."""
        h, w = 3 * max(self.strides), 4 * max(self.strides)
        self.eval()
        try:
            channels = [each.shape[1] for each in self(torch.zeros(1, 3, h, w))]
        except (RuntimeError, AssertionError, ValueError) as error:
            raise ValueError(
                f"{name}: takes no images of {h} x {w} pixels ({str(error).splitlines()[0]}); "
                "choose a network that takes any size, as convolutional ones do"
            ) from error
        if channels != self.channels:
            raise ValueError(f"{name}: has {channels} channels, and timm tells {self.channels}")
        self.train()


def in_words(about: Mapping[str, Any]) -> str:
    """A sentence on a backbone of timm, of what the teacher's file and report say of it."""
    if "weights" not in about:
        return f"Its backbone is {about['name']}, from random weights."
    after = "stayed as it was" if about["frozen"] else "learnt on"
    return (
        f"Its backbone, {about['name']}, came with weights of {about['weights']['file']}, which "
        f"may have learnt from class labels, and {after}."
    )


def _require_taps(taps: Sequence[int], *, n: int) -> None:
    if not taps or list(taps) != sorted(set(taps)) or not set(taps) <= set(range(n)):
        raise ValueError(f"taps {list(taps)}: expected increasing numbers from 0 to {n - 1}")
