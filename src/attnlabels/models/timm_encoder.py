"""Encoders of timm, convolutional or of tokens, that give what our ResNets give."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.encoder import Encoder, Stages, stages_of
from attnlabels.models.files import NO_NETWORK
from attnlabels.pretrained.timm_networks import (
    N_STAGES,
    create,
    levels_of,
    three_of,
    timm_itself,
)

TIMM = "timm:"  # begins a backbone's name


class TimmEncoder(nn.Module):
    """A network of timm that returns the maps of three depths, and its own pooled features.

    `options` are arguments of its class, as `img_size`, `patch_size` or `depths`. Tokens are put on
    their grid, without those before them. Its own weights are under `network`, by timm's names.

    `taps`: the last three "stages", of a network of one resolution the ends of three equal parts;
    its last three "units", the places at which timm gives features; or three of these places, as
    numbers that rise from 1.
    """

    def __init__(
        self,
        backbone: str,
        *,
        taps: Literal["stages", "units"] | Sequence[int],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        # What is no option, as which file of weights to read: options come from others' files too.
        creating = {*inspect.signature(timm_itself().create_model).parameters, "num_classes"}
        if taken := sorted({*options} & creating):
            raise ValueError(
                f"{backbone}: the option {taken[0]} is not the network's; options are arguments of "
                "its class, and no weights are read"
            )
        try:
            network: Any = create(backbone.removeprefix(TIMM), **options)
        except ValueError:
            raise
        except NO_NETWORK as error:
            told = f"{str(error).splitlines()[0]}; mend the options {dict(options)}"
            raise ValueError(f"{backbone}: timm builds no such network ({told})") from error
        try:
            scales = [level["reduction"] for level in levels_of(network)]
            self.places = _places(scales, taps)
        except ValueError as error:
            raise ValueError(f"{backbone}: {error}; choose another network or other taps") from None
        self.network = network
        self.n_features = int(getattr(network, "head_hidden_size", network.num_features))

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Stages:
        """Maps and features of images in [0, 1], from which no mean is taken (as our ResNets)."""
        network: Any = self.network
        # Paper: maps are read after their last ReLU, so >= 0. Here they are what timm gives and may
        # be negative; tokens are read after the network's last norm, at each depth. Before it the
        # four parameters hardly see anything: of a guided ViT on the embedded data their KLD from
        # the labels is 0.48, after the norm 0.29, as a ConvNeXt's is.
        final, (first, second, last) = network.forward_intermediates(
            images, indices=self.places, norm=_has_tokens(network)
        )
        pooled = network.forward_head(final, pre_logits=True)
        return stages_of(first, second, last)._replace(pooled=pooled)

    @torch.no_grad()
    def require_size(self, size: int) -> None:
        """Raises ValueError unless squares of so many pixels give three square maps."""
        training = self.training
        device = next(self.parameters()).device
        try:
            stages = self.eval()(torch.zeros(1, 3, size, size, device=device))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise ValueError(
                f"{self.backbone} cannot take images of {size} px ({str(error).splitlines()[0]}); "
                f"give it the option img_size: {size}, where it has that, or larger images"
            ) from error
        finally:
            self.train(training)
        for each in stages[:N_STAGES]:
            rows, columns = each.shape[2:]
            if rows != columns:
                raise ValueError(
                    f"{self.backbone} has a grid of {rows} × {columns} of a square image, and only "
                    "square ones are read; mend its patch_size or img_size"
                )


def build_encoder(backbone: str, **arguments: Any) -> Encoder | TimmEncoder:
    """The encoder of that name: a ResNet of ours, or one of timm's as timm:NAME.

    Raises ValueError for an argument that it has not, such as a timm network's width or stem.
    """
    kind: Any = TimmEncoder if backbone.startswith(TIMM) else Encoder
    return kind(backbone, **arguments)


def _has_tokens(network: nn.Module) -> bool:
    return getattr(network, "patch_embed", None) is not None and hasattr(network, "pos_embed")


def _places(
    scales: Sequence[object], taps: Literal["stages", "units"] | Sequence[int]
) -> list[int]:
    """Which of a network's places, given by their scales, are read."""
    if taps == "stages":
        return three_of(scales)
    if taps == "units":
        return three_of(range(len(scales)))
    places = [int(each) - 1 for each in taps]
    rising = [*range(len(scales))]
    if len(places) != N_STAGES or sorted({*places} & {*rising}) != places:
        raise ValueError(f"has the places 1 to {len(scales)}, and the taps are {[*taps]}")
    return places
