"""A teacher as it labels: images to maps, and maps to pseudo fixations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16, UInt8
from pydantic import Field
from torch import Tensor

from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.models.folding import fold_batch_norm
from attnlabels.processes.loading import as_input
from attnlabels.teachers.shapes import Shape, group_alike, input_size, show
from attnlabels.teachers.trained import Trained, read_trained

Count = Annotated[int, Field(gt=0)]
Length = Annotated[float, Field(gt=0)]
Sigma = Literal["teacher", "fitted"]
MAP_SIZE = 56  # side of a map, the paper's at 224 px of image


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a teacher's maps and their pseudo fixations are drawn.

    Images are resized to about as many pixels as the teacher was trained and is scored at, each in
    its own shape, or all in the teacher's. Its file says which that is, as it says the σ of a
    fixation: that of the densities it learnt, or one fitted to its maps. The search ends at
    `threshold` of the map's maximum, or at `maximum_points`. Raises ValueError for a map of one
    cell, a threshold outside of (0, 1] and no points.
    """

    shape: Shape = "own"
    sigma: Sigma = "teacher"  # fitted: the one that finds as many points as in people's maps
    map_size: int | None = None  # side; None: 56, or the shorter side of the teacher's input
    threshold: float = 0.2
    maximum_points: int = 64
    mirror: bool = False  # average with the mirror image's map
    precision: Literal["fp32", "bf16"] = "fp32"  # of the teacher's arithmetic

    def __post_init__(self) -> None:
        if self.map_size is not None and self.map_size < 2:
            raise ValueError(f"map_size {self.map_size}: expected 2 or more, or nothing has a peak")
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold {self.threshold}: expected more than 0 and at most 1")
        if self.maximum_points < 1:
            raise ValueError(f"maximum_points {self.maximum_points}: expected 1 or more")


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What the labels of a set of images have in common; its index says it beside whose they are.

    Maps are square whatever their images are, so each σ, in cells of the map, is two: down, across.
    They are those of an image of the shape `shown`, pixels of the teacher's input, where each was
    shown in its own; of all images where that is None.
    """

    map_size: Count
    density_sigma: tuple[Length, Length]  # of the densities that the teacher learnt
    sigma: tuple[Length, Length]  # of the Gaussians that pseudo fixations are found by
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Count
    shown: tuple[Count, Count] | None = None

    def like(self, image: tuple[int, int]) -> "Manner":
        """The manner of an image of that height and width."""
        return self if self.shown is None else self.at(input_size(self.shown, like=image))

    def at(self, size: tuple[int, int]) -> "Manner":
        """The manner of an image that was shown at that height and width."""
        if self.shown is None:
            return self
        down, across = self.shown[0] / size[0], self.shown[1] / size[1]
        density_sigma, sigma = ((down * i, across * j) for i, j in (self.density_sigma, self.sigma))
        return replace(self, density_sigma=density_sigma, sigma=sigma, shown=None)

    def said(self) -> dict[str, Any]:
        """What an index says of it."""
        return {key: value for key, value in vars(self).items() if value is not None}

    def find_points(
        self, maps: Float[Tensor, "n s s"]
    ) -> tuple[Int16[Tensor, "n p 2"], Int[Tensor, "n"]]:
        """The pseudo fixations of maps, padded with -1, and how many there are."""
        return pseudo_fixations(
            maps, sigma_px=self.sigma, threshold=self.threshold, maximum=self.maximum_points
        )


class Labeller:
    """A teacher as it labels: images to maps, and maps to pseudo fixations."""

    def __init__(self, trained: Trained, drawing: Drawing) -> None:
        self.teacher, self.image_size = trained.teacher, trained.image_size
        self.drawing, self.manner = drawing, manner_of(trained, drawing)
        self.map_size = self.manner.map_size

    def to(self, device: torch.device) -> None:
        """Move the teacher to a device, channels last."""
        self.teacher.to(device).to(memory_format=torch.channels_last)

    def label_images(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]
    ) -> tuple[list[Float[Tensor, "s s"]], list[Int16[Tensor, "p 2"]]]:
        """The maps of images of any sizes, and their pseudo fixations."""
        shown = [show(each, self.image_size, shape=self.drawing.shape) for each in images]
        maps: dict[int, Tensor] = {}
        points: dict[int, Tensor] = {}
        for group in group_alike(dict(enumerate(shown))):
            drawn = self.draw_maps(group.pixels)
            maps |= zip(group.rows, drawn)
            points |= zip(group.rows, self.find_points(drawn, size=group.size))
        return [maps[i] for i in range(len(images))], [points[i] for i in range(len(images))]

    def draw_maps(self, pixels: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n s s"]:
        """The teacher's maps of images at `map_size`, on the CPU.

        With `mirror`, a map is the mean of the image's and its mirror image's. Raises ValueError
        if a map is not finite.
        """
        size = (self.map_size, self.map_size)
        if not len(pixels):
            return torch.zeros(0, *size)
        device = next(self.teacher.parameters()).device
        batch = as_input(pixels.to(device, non_blocking=True))
        with (
            torch.inference_mode(),
            torch.autocast(device.type, torch.bfloat16, enabled=self.drawing.precision == "bf16"),
        ):
            maps = self.teacher.both_ways(batch) if self.drawing.mirror else self.teacher(batch)
            # A mean of values that are not all finite is not finite.
            maps = F.interpolate(maps.float().unsqueeze(1), size, mode="area").squeeze(1).cpu()
        if not maps.isfinite().all():
            raise ValueError(
                "the teacher's maps are not finite; train it again, or label with precision fp32"
            )
        return maps

    def find_points(
        self, maps: Float[Tensor, "n s s"], *, size: tuple[int, int]
    ) -> list[Int16[Tensor, "p 2"]]:
        """The pseudo fixations in each map of images that were shown at `size`."""
        points, counts = self.manner.at(size).find_points(maps)
        return [each[:count] for each, count in zip(points, counts.tolist())]


def manner_of(trained: Trained, drawing: Drawing) -> Manner:
    """What the labels of a teacher have in common.

    A convolutional network draws a fixation as wide as it learnt to in pixels of its input,
    whatever the image that was resized to it. So on the map it is as much narrower as the map is.

    Raises ValueError for a map larger than the input.
    """
    h, w = trained.image_size
    side = drawing.map_size or min(MAP_SIZE, h, w)
    if side > min(h, w):
        raise ValueError(
            f"map_size {side} of images resized to {h} x {w}; expected at most {min(h, w)}"
        )
    wide = {"teacher": trained.sigma_px, "fitted": trained.fitted_sigma_px}
    cells = {key: (down * side / h, across * side / w) for key, (down, across) in wide.items()}
    return Manner(
        map_size=side,
        density_sigma=cells["teacher"],
        sigma=cells[drawing.sigma],
        threshold=drawing.threshold,
        maximum_points=drawing.maximum_points,
        shown=trained.image_size if drawing.shape == "own" else None,
    )


def read_labeller(weights: Path, drawing: Drawing) -> Labeller:
    """The teacher of a file of weights, as `drawing` has it label, batch norm folded if it can be.

    Raises ValueError, before any image is read, if the drawing does not fit.
    """
    labeller = Labeller(read_trained(weights), drawing)
    if labeller.teacher.backbone.folds:
        fold_batch_norm(labeller.teacher)
    return labeller
