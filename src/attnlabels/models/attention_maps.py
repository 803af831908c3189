"""Where the attention map of a student comes from: a source is one row of `SOURCES`.

Each is a module called with the `Stages` of the attended images and a `Contrast`, and returns maps
>= 0 [n, size, size] of any scale that keeps their sums, which losses divide by, far above 1e-7.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from attnlabels.models.attention_head import AttentionHead, Output, Select
from attnlabels.models.contracam import contracam, queries
from attnlabels.models.encoder import Stages

Source = Literal["none", "readout", "mask", "contracam", "contracam_second_order"]
# Rows [n, d] of this process -> those of all, detached, and where among them these are.
Gather = Callable[[Tensor], tuple[Tensor, slice]]


class Contrast(NamedTuple):
    """How images are told apart: by their projections, beside those of the whole batch."""

    projector: nn.Module
    gather: Gather


def alone(rows: Tensor) -> tuple[Tensor, slice]:
    """`Gather` where there is no other process."""
    return rows, slice(0, len(rows))


class NoMap(nn.Module):
    """For a student that attends to nothing; one that is asked for a map is a mistake."""

    def forward(self, stages: Stages, contrast: object = None) -> Tensor:
        raise ValueError("this student has no attention: its run says `attention: none`")


class BlockMask(nn.Module):
    """The mask of the encoder's block, enlarged: the "explicit attention block" of Table 1."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, stages: Stages, contrast: object = None) -> Float[Tensor, "n h w"]:
        if not stages.mask.numel():
            raise ValueError("the encoder's block has no mask to attend with; choose another block")
        return _enlarge(stages.mask, self.size)


class ContraCam(nn.Module):
    """ContraCAM of the last stage, each image against the others of the batch, enlarged."""

    def __init__(self, size: int, *, second_order: bool) -> None:
        super().__init__()
        self.size, self.second_order = size, second_order

    def forward(self, stages: Stages, contrast: Contrast) -> Float[Tensor, "n h w"]:
        with evaluating(contrast.projector) as project:
            with torch.no_grad():
                own = queries(stages.last, project)
            negatives, where = contrast.gather(own)
            maps = contracam(
                stages.last,
                project,
                negatives=negatives,
                own=where,
                second_order=self.second_order,
            )
        return _enlarge(maps, self.size)


SOURCES: dict[Source, Callable[[int, Select, Output], nn.Module]] = {
    "none": lambda size, select, output: NoMap(),
    "readout": lambda size, select, output: AttentionHead(select=select, output=output, size=size),
    "mask": lambda size, select, output: BlockMask(size),
    "contracam": lambda size, select, output: ContraCam(size, second_order=False),
    "contracam_second_order": lambda size, select, output: ContraCam(size, second_order=True),
}


def build_attention(source: Source, *, size: int, select: Select, output: Output) -> nn.Module:
    """The module that makes maps of `size`; `select` and `output` are those of a readout."""
    return SOURCES[source](size, select, output)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """In this block batch norm has its running statistics, and an image is judged by itself."""
    training = network.training
    network.eval()
    try:
        yield network
    finally:
        network.train(training)


def _enlarge(maps: Float[Tensor, "n i j"], size: int) -> Float[Tensor, "n h w"]:
    wide = maps.to(torch.promote_types(maps.dtype, torch.float32)).unsqueeze(1)
    return F.interpolate(wide, (size, size), mode="bilinear").squeeze(1)
