"""Where a player pointed in a round: the places that count, by the task, and maps of them.

paint    the bubbles, in the order they were painted
peek     the clicks
look     the pointer's samples
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int

from attnlabels.clickmaps.blurring import Blur, blur
from attnlabels.collecting.folder import Image
from attnlabels.collecting.settings import Task
from attnlabels.gathered.study import Round
from attnlabels.recordings.density import Count, fixation_map

COUNTED: dict[Task, str] = {"paint": "bubble", "peek": "click", "look": "move"}
DIGITS = 3  # of a place; more than any pointer tells
LEAST = 10.0**-DIGITS


class Points(NamedTuple):
    """The places of a round that are inside of its image, and how many are not."""

    t: Float[np.ndarray, "n"]  # ms
    xy: Float[np.ndarray, "n 2"]
    outside: int

    @property
    def cells(self) -> Int[np.ndarray, "n 2"]:
        """The pixels (row, col) from 0 that they lie in."""
        return np.floor(self.xy[:, ::-1]).astype(np.int64)


def points_of(played: Round) -> Points:
    """The places that count in a round."""
    counted = np.array([each == COUNTED[played.task] for each in played.samples.event], bool)
    t, xy = played.samples.t[counted], played.samples.xy[counted].round(DIGITS)
    size = np.array([played.image.width, played.image.height], np.float64)
    xy = np.where(xy == size, size - LEAST, xy)  # what was brought to the edge is of the last pixel
    inside = ((xy >= 0) & (xy < size)).all(axis=1)
    return Points(t[inside], xy[inside], int((~inside).sum()))


def on_square(points: Points, image: Image, *, side: int) -> Int[np.ndarray, "n 2"]:
    """The places (row, col) on the image stretched to a square, so that all images compare."""
    scaled = np.floor(points.xy[:, ::-1] * np.divide(side, (image.height, image.width)))
    return scaled.astype(np.int64).clip(0, side - 1)


def map_of(
    places: Int[np.ndarray, "n 2"], *, side: int, count: Count, blur_by: Blur
) -> Float32[np.ndarray, "{side} {side}"]:
    """A player's blurred map of places `on_square`."""
    return blur(fixation_map(places, height=side, width=side, count=count), blur_by)
