"""The encoder of one of our students as a function from images to features."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from attnlabels.models.encoder import Encoder, features
from attnlabels.models.files import building, load_weights, read_config
from attnlabels.models.folding import fold_batch_norm
from attnlabels.models.timm_encoder import build_encoder

Precision = Literal["fp32", "bf16"]
DTYPE = {"fp32": torch.float32, "bf16": torch.bfloat16}


def read_encoder(
    weights: Path, *, device: torch.device, precision: Precision
) -> Callable[[UInt8[Tensor, "n s s 3"]], Float[Tensor, "n d"]]:
    """The encoder of a checkpoint of `train_simclr`, a ResNet's batch norm folded, on `device`.

    The function takes images of 0 to 255 from any device and returns float32 features.
    """
    config = read_config(weights, "encoder")
    with building(weights):
        encoder = build_encoder(**config["encoder"])
    load_weights(weights, encoder, prefix="encoder.")
    encoder.eval()
    if isinstance(encoder, Encoder):  # of timm's not all follow a convolution
        fold_batch_norm(encoder)
    dtype = DTYPE[precision]
    encoder.to(device, dtype).to(memory_format=torch.channels_last)

    @torch.no_grad()
    def encode(images: UInt8[Tensor, "n s s 3"]) -> Float[Tensor, "n d"]:
        pixels = images.to(device, non_blocking=True).permute(0, 3, 1, 2).float() / 255
        return features(encoder(pixels.to(dtype)))

    return encode
