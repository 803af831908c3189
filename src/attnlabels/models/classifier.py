"""The supervised network with the student's attention head (paper §4.3, Table 1's lower half).

And with attention inside its units, or its input gradient, held to people's maps (Linsley et al.,
ICLR 2019; Fel et al., NeurIPS 2022).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from attnlabels.models.attention_maps import build_attention, evaluating
from attnlabels.models.encoder import Encoder, pooled
from attnlabels.models.probe import linear_probe
from attnlabels.models.student import detach, encode


class Outputs(NamedTuple):
    """What the objective's terms read, a row an image; what was not asked for is empty."""

    logits: Float[Tensor, "n 1 k"]
    attention: Float[Tensor, "n h w"]  # of the attended images
    attended: Float[Tensor, "n l i j"]  # of the view, inside of units
    gradient: Float[Tensor, "n a b"]  # of the view


class Classifier(nn.Module):
    """Encoder, attention and a linear classifier on the encoder's features."""

    def __init__(self, encoder: nn.Module, attention: nn.Module, probe: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.attention, self.probe = encoder, attention, probe

    def forward(
        self,
        view: Float[Tensor, "n 3 h w"],
        attended: Float[Tensor, "m 3 h w"] | None = None,
        labels: Int[Tensor, " n"] | None = None,
        *,
        joint: bool,
        stop_gradient: bool,
    ) -> Outputs:
        """A view to classify and the clean images for attention; pixels in [0, 1].

        With `labels`, the view's gradient of their logits is put out too. `joint` and
        `stop_gradient` are those of `attnlabels.models.student.Student`.
        """
        classified, seen = encode(self.encoder, [view], attended, joint=joint)
        logits = self.probe(pooled(classified)).unsqueeze(1)
        empty = logits.new_empty(len(view), 0, 0)
        if seen is not None and stop_gradient:
            seen = detach(seen)
        return Outputs(
            logits,
            empty if seen is None else self.attention(seen),
            classified.attended,
            empty if labels is None else self.input_gradient(view, labels),
        )

    def input_gradient(
        self, view: Float[Tensor, "n 3 h w"], labels: Int[Tensor, " n"]
    ) -> Float[Tensor, "n h w"]:
        """Of each image's true logit, the mean over channels, signed; weights learn through it.

        Batch norm has its running statistics for it: else an image's logit would depend on the
        other images of the batch, and its gradient on how the batch is shared among processes.
        """
        pixels = view.detach().requires_grad_()
        with evaluating(self), torch.enable_grad():
            logits = self.probe(pooled(self.encoder(pixels)))
        true = logits.float().gather(1, labels.unsqueeze(1)).sum()
        (gradient,) = torch.autograd.grad(true, pixels, create_graph=True)
        return gradient.mean(dim=1)


def build_classifier(config: Mapping[str, Any], *, n_classes: int) -> Classifier:
    """The network that `config` says, with weights drawn from torch's generator.

    `config` holds the arguments of its `encoder` and its `attention`, a readout or none.
    """
    encoder = Encoder(**config["encoder"])
    probe = linear_probe(encoder.n_features, n_classes)
    return Classifier(encoder, build_attention(**config["attention"]), probe)
