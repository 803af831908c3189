"""The supervised network with the student's attention head (paper §4.3, Table 1's lower half)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.attention_head import AttentionHead
from attnlabels.models.encoder import Encoder
from attnlabels.models.probe import linear_probe
from attnlabels.models.student import detach, encode


class Outputs(NamedTuple):
    """What the objective's terms read, a row an image."""

    logits: Float[Tensor, "n 1 k"]
    attention: Float[Tensor, "n h w"]


class Classifier(nn.Module):
    """Encoder, attention and a linear classifier on the encoder's features."""

    def __init__(self, encoder: nn.Module, attention: nn.Module, probe: nn.Linear) -> None:
        super().__init__()
        self.encoder, self.attention, self.probe = encoder, attention, probe

    def forward(
        self,
        view: Float[Tensor, "n 3 h w"],
        attended: Float[Tensor, "m 3 h w"],
        *,
        joint: bool,
        stop_gradient: bool,
    ) -> Outputs:
        """A view to classify and the clean images for attention; pixels in [0, 1].

        `joint` and `stop_gradient` are those of `attnlabels.models.student.Student`.
        """
        classified, seen = encode(self.encoder, [view], attended, joint=joint)
        assert seen is not None
        logits = self.probe(classified.last.mean(dim=(2, 3))).unsqueeze(1)
        return Outputs(logits, self.attention(detach(seen) if stop_gradient else seen))


def build_classifier(config: Mapping[str, Any], *, n_classes: int) -> Classifier:
    """The network that `config` says, with weights drawn from torch's generator.

    `config` holds the arguments of its `encoder` and its `attention`, a readout.
    """
    encoder = Encoder(**config["encoder"])
    head = {key: config["attention"][key] for key in ("select", "output", "size")}
    classifier = linear_probe(encoder.n_features, n_classes)
    return Classifier(encoder, AttentionHead(**head), classifier)
