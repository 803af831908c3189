"""The linear classifier that is trained with an encoder (google-research/simclr:resnet.py)."""

from torch import nn


def linear_probe(n_features: int, n_classes: int) -> nn.Linear:
    """A linear layer with small random weights and no bias to any class."""
    probe = nn.Linear(n_features, n_classes)
    nn.init.normal_(probe.weight, std=0.01)
    nn.init.zeros_(probe.bias)
    return probe
