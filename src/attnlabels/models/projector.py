"""Projection heads (google-research/simclr:model_util.py `projection_head`), and predictors."""

from collections import OrderedDict
from typing import Literal

from torch import nn

Norm = Literal["gain", "plain", "none"]


def projector(
    n_features: int,
    *,
    layers: int,
    n_outputs: int,
    n_hidden: int | None = None,
    norm: Norm = "gain",
) -> nn.Sequential:
    """`layers` - 1 times (linear, BN, ReLU), as wide as the features or `n_hidden`, then linear.

    After that BN that has a "gain" but no shift, SimCLR's; "plain" BN with neither, as SimSiam and
    MoCo v3 have it; or "none", as in Barlow Twins, VICReg and BYOL. No linear layer has a bias. Two
    layers are SimCLR v1's head, three v2's (A14). The outputs are not of unit length: the losses
    normalise them.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    n_inputs = n_features
    for index in range(layers):
        last = index == layers - 1
        width = n_outputs if last else n_hidden or n_features
        linear = nn.Linear(n_inputs, width, bias=False)
        parts[f"linear{index}"] = linear
        if last and norm == "none":
            break  # its scale reaches the loss: torch's own initial weights
        nn.init.normal_(linear.weight, std=0.01)
        bn = nn.BatchNorm1d(width, affine=not last or norm == "gain")
        parts[f"bn{index}"] = bn
        if not last:
            parts[f"relu{index}"] = nn.ReLU(inplace=True)
        elif norm == "gain":
            bn.bias.requires_grad_(False)  # stays 0: "BN without shift"
        n_inputs = width
    return nn.Sequential(parts)


def predictor(n_outputs: int, *, n_hidden: int) -> nn.Sequential:
    """From projections to projections: linear, BN, ReLU, linear (SimSiam, BYOL, MoCo v3)."""
    return nn.Sequential(
        nn.Linear(n_outputs, n_hidden, bias=False),
        nn.BatchNorm1d(n_hidden),
        nn.ReLU(inplace=True),
        nn.Linear(n_hidden, n_outputs),
    )
