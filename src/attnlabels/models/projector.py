"""SimCLR's projection head (google-research/simclr:model_util.py `projection_head`)."""

from collections import OrderedDict

from torch import nn


def projector(n_features: int, *, layers: int, n_outputs: int) -> nn.Sequential:
    """`layers` - 1 times (linear, BN, ReLU) as wide as the features, then linear and BN.

    No linear layer has a bias, and the last BN has a gain but no shift. Two layers are SimCLR
    v1's head, three v2's (A14). The outputs are not of unit length: the loss normalises them.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for index in range(layers):
        last = index == layers - 1
        width = n_outputs if last else n_features
        linear = nn.Linear(n_features, width, bias=False)
        nn.init.normal_(linear.weight, std=0.01)
        norm = nn.BatchNorm1d(width)
        parts[f"linear{index}"], parts[f"bn{index}"] = linear, norm
        if last:
            norm.bias.requires_grad_(False)  # stays 0: "BN without shift"
        else:
            parts[f"relu{index}"] = nn.ReLU(inplace=True)
    return nn.Sequential(parts)
