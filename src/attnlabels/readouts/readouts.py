"""How a map of attention is read from what a frozen network holds: a readout is a row of READOUTS.

A readout learns from batches of images whose maps are known, each of which belongs to a part, and
is then fitted to any of the parts: so one pass serves all folds of a cross-validation.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypedDict, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from attnlabels.images.crops import Box, count_points, crop_map
from attnlabels.models.attention_head import AttentionHead, Output, Select
from attnlabels.models.encoder import stages_of
from attnlabels.readouts.head import fit_head
from attnlabels.readouts.intermediates import Seen
from attnlabels.readouts.ridge import Line, Sums, fit_best

# The least of a linear map, whose mean is about 1: a line goes below 0, which no distribution does,
# and where people looked at a 0, that would be most of the KLD.
FLOOR = 0.01
PRIOR_SIZE = 64  # side of the mean map, pixels


class HeadShape(TypedDict):
    """What an attention head is built of."""

    select: Select
    output: Output
    size: int


class Refit(TypedDict):
    """How the head is fitted: the most steps, and λ and β of its loss λ·KLD - β·NSS."""

    steps: int
    kld_weight: float
    nss_weight: float


class Looked(NamedTuple):
    """Where people or a teacher look in an image, of which a network is shown the `box`."""

    map: Float[np.ndarray, "h w"]
    points: Int[np.ndarray, "p 2"]  # (row, col) on `grid`
    grid: tuple[int, int]
    box: Box

    def density(self, size: tuple[int, int]) -> Float[np.ndarray, "a b"]:
        """The map inside the box, at `size` (height, width)."""
        return crop_map(self.map, self.box, size=size)

    def counts(self, size: tuple[int, int]) -> Float[np.ndarray, "a b"]:
        """How many points fell on each pixel inside the box."""
        return count_points(self.points, grid=self.grid, box=self.box, size=size)


Reader = Callable[[Seen], Float[Tensor, "n i j"]]  # maps >= 0, of any scale


@runtime_checkable
class Readout(Protocol):
    """A way to read maps, not yet fitted."""

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        """Take in a batch of images; `parts` says to which part each belongs."""

    def fitted(self, parts: Sequence[int], *, development: int) -> Reader:
        """The readout fitted to the images of the `parts`, one of which, the `development`, is
        left out while a penalty is chosen."""


class Head:
    """The paper's: four parameters over one map of each of three stages, fitted to convergence."""

    def __init__(self, shape: HeadShape, refit: Refit) -> None:
        self.shape, self.refit = shape, refit
        self.learnt: list[tuple[Tensor, Tensor, Tensor]] = []  # selected, densities, counts
        self.parts: list[int] = []

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        head = AttentionHead(**self.shape)
        size = (head.size, head.size)
        targets = np.stack([each.density(size) for each in looked])
        counts = np.stack([each.counts(size) for each in looked])
        selected = head.selected(stages_of(*seen.stages)).cpu()
        self.learnt.append((selected, torch.from_numpy(targets), torch.from_numpy(counts)))
        self.parts += parts

    def fitted(self, parts: Sequence[int], *, development: int) -> Reader:
        head = AttentionHead(**self.shape)
        rows = torch.tensor([part in parts for part in self.parts])
        selected, targets, counts = (torch.cat(each)[rows] for each in zip(*self.learnt))
        # In standard units: where a network's features run to hundreds, the softmax would start
        # with all its weight on a pixel, from where no gradient leads away.
        mean = selected.mean(dim=(0, 1, 2))
        deviation = selected.std(dim=(0, 1, 2))
        scale = torch.where(deviation > 0, deviation, 1.0)
        fit_head(head, (selected - mean) / scale, targets, counts, **self.refit)

        @torch.no_grad()
        def read(seen: Seen) -> Tensor:
            return head.read((head.selected(stages_of(*seen.stages)).cpu() - mean) / scale)

        return read


class Linear:
    """Linear decoding: a weight for each channel of three stages, by ridge regression.

    The stages are enlarged to the grid of the finest. What is regressed there is the density over
    its own mean, so that every image is a distribution of the same mass.
    """

    def __init__(self) -> None:
        self.sums: dict[int, Sums] = {}  # by part
        self.lines: list[Line] = []  # of the fits, in turn

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        grid = _finest(seen)
        for row, (each, part) in enumerate(zip(looked, parts)):
            density = each.density(grid)
            if not density.any():  # all of it is outside of the box
                continue
            # Image by image: enlarged, the channels of a batch would take gigabytes.
            stages = seen.of([row]).stages
            x = torch.cat([_enlarged(stage, grid) for stage in stages], dim=1)[0].flatten(1).T
            y = torch.from_numpy(density / density.mean()).to(x.device).flatten()
            if part not in self.sums:
                self.sums[part] = Sums.none(x.shape[1], x.device)
            self.sums[part].add(x, y)

    def fitted(self, parts: Sequence[int], *, development: int) -> Reader:
        there = [part for part in parts if part in self.sums]
        if development not in there:
            raise ValueError("no image to choose a penalty by has a map inside the crop; crop less")
        line = fit_best([self.sums[part] for part in there], development=there.index(development))
        self.lines.append(line)
        return lambda seen: _of_line(seen, line)


class Norm:
    """No fit: the L2 norm over the channels of the last stage.

    Attention transfer (Zagoruyko & Komodakis 2017), whose maps are its square.
    """

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        pass

    def fitted(self, parts: Sequence[int], *, development: int) -> Reader:
        return lambda seen: seen.stages[-1].norm(dim=1)


class ClassToken:
    """No fit: how much the class token attends to each patch in the last block, mean over heads."""

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        pass

    def fitted(self, parts: Sequence[int], *, development: int) -> Reader:
        def read(seen: Seen) -> Tensor:
            if seen.class_token is None:
                raise ValueError("no class token's attention can be had of this network")
            return seen.class_token

        return read


class Prior:
    """The centre prior: the mean of the densities that it learnt, whatever the image."""

    def __init__(self) -> None:
        self.sums: dict[int, Float[np.ndarray, "a a"]] = {}  # by part, each image of mean 1

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        for each, part in zip(looked, parts):
            density = each.density((PRIOR_SIZE, PRIOR_SIZE))
            if density.any():
                self.sums[part] = self.sums.get(part, 0.0) + density / density.mean()

    def fitted(self, parts: Sequence[int], *, development: int) -> Reader:
        there = [self.sums[part] for part in parts if part in self.sums]
        if not there:
            raise ValueError("no image to learn a prior from has a map inside the crop; crop less")
        mean = torch.from_numpy(np.sum(there, axis=0)).float()
        return lambda seen: mean.expand(len(seen.stages[0]), -1, -1)


READOUTS: dict[str, Callable[[HeadShape, Refit], Readout]] = {
    "head": Head,
    "linear": lambda shape, refit: Linear(),
    "norm": lambda shape, refit: Norm(),
    "class_token": lambda shape, refit: ClassToken(),
}


def _finest(seen: Seen) -> tuple[int, int]:
    rows, columns = max(tuple(stage.shape[2:]) for stage in seen.stages)
    return rows, columns


def _enlarged(stage: Tensor, grid: tuple[int, int]) -> Tensor:
    return F.interpolate(stage, grid, mode="bilinear")


def _of_line(seen: Seen, line: Line) -> Float[Tensor, "n i j"]:
    """The line's map on the finest grid. Weighed first, then enlarged: the two commute."""
    grid, widths = _finest(seen), [stage.shape[1] for stage in seen.stages]
    total: Any = line.bias
    for stage, weight in zip(seen.stages, line.weight.split(widths)):
        weighed = torch.einsum("ncij,c->nij", stage.double(), weight)
        total = total + _enlarged(weighed[:, None], grid)[:, 0]
    return total.float().clamp_min(FLOOR)
