"""Time what attention inside of residual units costs a training step, by the limit below.

    python benchmarks/unit_attention.py

Forward and backward of ResNet-50 at 224 px: without attention, with GALA and with SE in all units
of the third stage, as in the paper; and, as a measure, timm's own ResNet-50 and SE-ResNet-50, which
has SE in all units. One thread, in turns; a ratio is of one round. Leaves with status 1 if the
limit is missed. About three minutes on one core.
"""

from functools import partial

import timm
import torch
from ratios import Bound, in_turns, ratios, report
from torch import nn

from attnlabels.models.encoder import Encoder, features

BATCH, SIDE, STAGE = 8, 224, 3
MOST = 1.25
ROUNDS = 7


def main() -> None:
    torch.set_num_threads(1)
    images = torch.rand(BATCH, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    networks: dict[str, nn.Module] = {
        name: Encoder(
            "resnet50",
            width=64,
            stem="imagenet",
            taps="stages",
            zero_init=False,
            unit_attention=attention,
            attended_stage=STAGE,
        )
        for name, attention in {"plain": None, "GALA": "gala", "SE": "se"}.items()
    }
    networks["timm's plain"] = timm.create_model("resnet50", num_classes=0)
    networks["timm's SE"] = timm.create_model("seresnet50", num_classes=0)
    layout = torch.channels_last
    batch = images.to(memory_format=layout)
    steps = {
        name: partial(step, each.to(memory_format=layout), batch) for name, each in networks.items()
    }
    seconds = in_turns(steps, rounds=ROUNDS)
    plain, gala, se, timm_plain, timm_se = seconds.values()
    bounds = [
        Bound("GALA in stage 3, of the plain step", ratios(gala, plain), MOST, False, ""),
        Bound("SE in stage 3", ratios(se, plain), MOST, False, ""),
        Bound(
            "timm's SE in all stages, of its plain step",
            ratios(timm_se, timm_plain),
            MOST,
            False,
            "",
        ),
    ]
    report(seconds, bounds)


def step(network: nn.Module, images: torch.Tensor) -> None:
    network.zero_grad()
    out = network(images)
    (features(out) if isinstance(network, Encoder) else out).square().mean().backward()


if __name__ == "__main__":
    main()
