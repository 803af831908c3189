"""The supervised network with the student's attention head (paper §4.3, Table 1's lower half)."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

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
