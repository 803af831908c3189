"""What the tasks of classification share: head, loss and score."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class Head(nn.Module):
    """Logits of the attended features' mean; the skip is not used."""

    def __init__(self, channels: Sequence[int], n_classes: int) -> None:
        super().__init__()
        self.readout = nn.Linear(channels[-1], n_classes)

    def forward(self, attended: Tensor, skip: Tensor) -> Float[Tensor, "n k"]:
        return self.readout(attended.mean(dim=(2, 3)))


def head(channels: Sequence[int], n_outputs: int) -> nn.Module:
    """What makes the answer of features."""
    return Head(channels, n_outputs)


def loss(predicted: Float[Tensor, "n k"], target: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """Cross-entropy, in single precision whatever the logits are in."""
    return F.cross_entropy(predicted.float(), target)


def answer(predicted: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Chances of the classes."""
    return predicted.softmax(dim=1)


def scores(answers: Float[np.ndarray, "n k"], target: Int[np.ndarray, "n"]) -> dict[str, float]:
    """Share of right answers."""
    return {"top1": float((answers.argmax(axis=1) == target).mean())}
