"""A teacher as it labels: images to maps, and maps to pseudo fixations."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16, UInt8
from pydantic import Field
from torch import Tensor

from attnlabels.images.decoding import resize
from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.models.folding import fold_batch_norm
from attnlabels.processes.loading import as_input
from attnlabels.teachers.trained import Trained, read_trained

Count = Annotated[int, Field(gt=0)]
Length = Annotated[float, Field(gt=0)]
Sigma = Literal["teacher", "fitted"]
MAP_SIZE = 56  # side of a map, the paper's at 224 px of image


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a teacher's maps and their pseudo fixations are drawn.

    Images are resized to what the teacher was trained and is scored at, which its file says, as it
    says the σ of a fixation: that of the densities it learnt, or one fitted to its maps. The search
    ends at `threshold` of the map's maximum, or at `maximum_points`.
    """

    sigma: Sigma = "teacher"  # fitted: the one that finds as many points as in people's maps
    map_size: int | None = None  # side; None: 56, or the shorter side of the teacher's input
    threshold: float = 0.2
    maximum_points: int = 64
    mirror: bool = False  # average with the mirror image's map
    precision: Literal["fp32", "bf16"] = "fp32"  # of the teacher's arithmetic


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What the labels of a set of images have in common; its index says it beside whose they are.

    Maps are square whatever their images are, so each σ, in cells of the map, is two: down, across.
    """

    map_size: Count
    density_sigma: tuple[Length, Length]  # of the densities that the teacher learnt
    sigma: tuple[Length, Length]  # of the Gaussians that pseudo fixations are found by
    threshold: Annotated[float, Field(gt=0, le=1)]
    maximum_points: Count

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

    def draw_images(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> Float[Tensor, "n s s"]:
        """`draw_maps` of images of any sizes."""
        pixels = np.stack([resize(each, *self.image_size) for each in images])
        return self.draw_maps(torch.from_numpy(pixels))

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
            maps = self.teacher(batch)
            if self.drawing.mirror:
                maps = (maps + self.teacher(batch.flip(3)).flip(2)) / 2
            # A mean of values that are not all finite is not finite.
            maps = F.interpolate(maps.float().unsqueeze(1), size, mode="area").squeeze(1).cpu()
        if not maps.isfinite().all():
            raise ValueError(
                "the teacher's maps are not finite; train it again, or label with precision fp32"
            )
        return maps

    def find_points(
        self, maps: Float[Tensor, "n s s"]
    ) -> tuple[Int16[Tensor, "n p 2"], Int[Tensor, "n"]]:
        """The pseudo fixations of maps, padded with -1, and how many there are."""
        return self.manner.find_points(maps)


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
    )


def read_labeller(weights: Path, drawing: Drawing) -> Labeller:
    """The teacher of a file of weights, as `drawing` has it label, its batch norm folded.

    Raises ValueError, before any image is read, if the drawing does not fit.
    """
    labeller = Labeller(read_trained(weights), drawing)
    labeller.find_points(torch.zeros(0, 1, 1))  # refuses what it would refuse of an image
    fold_batch_norm(labeller.teacher)
    return labeller
