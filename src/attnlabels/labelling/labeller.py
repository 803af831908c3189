"""A teacher as it labels: images to maps, and maps to pseudo fixations."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Int16, UInt8
from torch import Tensor

from attnlabels.labelling.pseudo_fixations import pseudo_fixations
from attnlabels.models.files import load_weights, read_config
from attnlabels.models.folding import fold_batch_norm
from attnlabels.models.teacher import Teacher
from attnlabels.processes.loading import as_input

MAP_SIZE = 56  # side of a map, the paper's at 224 px of image


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a teacher's maps and their pseudo fixations are drawn.

    A fixation's Gaussian has the standard deviation `sigma_px` on an image `sigma_width` wide: best
    that of the densities the teacher learnt, as SALICON's 19 px at 640. The search ends at
    `threshold` of the map's maximum, or at `maximum_points`.
    """

    image_size: tuple[int, int] | None = None  # height, width resized to; None: the teacher's own
    map_size: int | None = None  # side; None: 56, or the image's shorter side if that is less
    sigma_px: float = 19.0
    sigma_width: int = 640
    threshold: float = 0.2
    maximum_points: int = 64
    mirror: bool = False  # average with the mirror image's map
    precision: Literal["fp32", "bf16"] = "fp32"  # of the teacher's arithmetic


class Labeller:
    """A teacher as it labels: images to maps, and maps to pseudo fixations."""

    def __init__(self, teacher: Teacher, drawing: Drawing) -> None:
        assert drawing.image_size and drawing.map_size, "sizes are resolved; see `read_labeller`"
        self.teacher, self.drawing = teacher, drawing
        self.image_size, self.map_size = drawing.image_size, drawing.map_size

    def to(self, device: torch.device) -> None:
        """Move the teacher to a device, channels last."""
        self.teacher.to(device).to(memory_format=torch.channels_last)

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
        drawing = self.drawing
        return pseudo_fixations(
            maps,
            sigma_px=drawing.sigma_px * self.map_size / drawing.sigma_width,  # at this width
            threshold=drawing.threshold,
            maximum=drawing.maximum_points,
        )


def read_teacher(weights: Path) -> Teacher:
    """The teacher as it labels, its batch norm folded into its convolutions."""
    teacher = Teacher(**read_config(weights, "teacher")["teacher"])
    load_weights(weights, teacher)
    teacher.eval()
    fold_batch_norm(teacher)
    return teacher


def read_labeller(weights: Path, drawing: Drawing) -> Labeller:
    """The teacher of a file of weights, as `drawing` has it label; sizes by default its own.

    Raises ValueError, before any image is read, if the drawing does not fit.
    """
    image_size = drawing.image_size
    if image_size is None:
        image_size = tuple(read_config(weights, "teacher", "image_size")["image_size"])
    map_size = drawing.map_size or min(MAP_SIZE, *image_size)
    if map_size > min(image_size):
        h, w = image_size
        raise ValueError(
            f"map_size {map_size} of images resized to {h} x {w}; expected at most {min(h, w)}"
        )
    sized = replace(drawing, image_size=image_size, map_size=map_size)
    labeller = Labeller(read_teacher(weights), sized)
    labeller.find_points(torch.zeros(0, 1, 1))  # refuses what it would refuse of an image
    return labeller
