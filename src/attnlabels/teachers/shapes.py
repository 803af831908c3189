"""The shape in which a teacher is shown an image: its own, with as many pixels as it was taught."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from attnlabels.images.decoding import resize

Shape = Literal["own", "teacher"]
STEP = 32  # pixels: sides are multiples, as the network's deepest stride is
SAME_SHAPE = 0.05  # by which share two shapes may differ and be taken for one


def input_size(trained: tuple[int, int], *, like: tuple[int, int]) -> tuple[int, int]:
    """The height and width to show an image at, of about the shape `like` has.

    Those of `trained` themselves, if that is its shape; otherwise multiples of 32 pixels with about
    the same product. A side is at least 32, so that an image longer than that allows is squeezed.
    """
    area, (h, w) = trained[0] * trained[1], like
    if abs(h * trained[1] / (w * trained[0]) - 1) < SAME_SHAPE:
        return trained
    longest = area / STEP
    height, width = (area * h / w) ** 0.5, (area * w / h) ** 0.5
    return _multiple(min(height, longest)), _multiple(min(width, longest))


def _multiple(side: float) -> int:
    return max(STEP, round(side / STEP) * STEP)


def show(
    image: Shaped[np.ndarray, "_ _ 3"], trained: tuple[int, int], *, shape: Shape
) -> Shaped[np.ndarray, "h w 3"]:
    """The image as a teacher of the input size `trained` is shown it."""
    size = input_size(trained, like=image.shape[:2]) if shape == "own" else trained
    return resize(image, *size)


class Group(NamedTuple):
    """Images that a teacher is shown together: their numbers, and their pixels of one size."""

    rows: list[int]
    pixels: Shaped[Tensor, "n h w 3"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]


def group_alike(images: Mapping[int, Shaped[np.ndarray, "_ _ 3"]]) -> list[Group]:
    """Images by their numbers as stacks, one for each size and type of numbers there is."""
    rows: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for row, pixels in images.items():
        rows[pixels.shape, pixels.dtype].append(row)
    stacks = (np.stack([images[row] for row in some]) for some in rows.values())
    return [Group(some, torch.from_numpy(stack)) for some, stack in zip(rows.values(), stacks)]
