"""From what a table of points counts to pixels of the image, and whether that can be.

A tracker counts pixels of its display, shares or percent of it, from a corner or from the middle;
read as another of these, points still lie inside of the image, mostly near its top left corner.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

Origin = Literal[0, 1]
Zero = Literal["top-left", "bottom-left", "centre"]

RELATIVE = {"shares": 1.0, "percent": 100.0}
DISPLAY = re.compile(r"([1-9]\d{0,5})x([1-9]\d{0,5})(?:\+(\d{1,6})\+(\d{1,6}))?")
UNITS = (
    "pixels (of the image), shares, percent, or WIDTHxHEIGHT[+X+Y], the place on the display that "
    "each image filled"
)
ROUNDING = 1e-6  # pixels: 0.29 of 100 is 28.999999999999996
FEW = 20  # points, of which nothing is judged but whether they are inside
MOSTLY = 0.98  # the quantile that points are judged by; single slips do not move it
# In 500 random sets of 8 images of OSIE's and SALICON's, none had both 98 % of x below 0.7 of the
# width and of y below 0.7 of the height and both medians below 0.4; on a display of half the size
# they are 0.45 and 0.25.
CORNER, CORNER_MEDIAN = 0.7, 0.4
CENTRAL = 0.2  # how far the median may be from the middle; in those sets it was 0.16 at most
TOO_MANY = 0.5  # the share of points outside that no policy makes right


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What x and y of a table count, and from where."""

    units: str = "pixels"  # see UNITS
    origin: Origin = 0  # of pixels: the first covers 0 to 1, or its centre is 1
    zero: Zero = "top-left"  # y grows downwards from there, else upwards

    def __post_init__(self) -> None:
        if self.units not in ("pixels", *RELATIVE) and not DISPLAY.fullmatch(self.units):
            raise ValueError(f"units {self.units!r}: expected {UNITS}")

    def words(self, instead_of: "Frame") -> str:
        """What is other than in `instead_of`, as options of the command."""
        told = vars(instead_of)
        changed = {name: value for name, value in vars(self).items() if value != told[name]}
        return " ".join(f"--{name} {value}" for name, value in changed.items())


class Pixels(NamedTuple):
    """Points in pixels of their images."""

    xy: Float[np.ndarray, "n 2"]  # from the top left corner, where the first pixel begins
    cells: Float[np.ndarray, "n 2"]  # (row, col) of the pixels that they lie in, whole numbers
    inside: Bool[np.ndarray, "n"]


def in_pixels(
    points: Float[np.ndarray, "n 2"], sizes: Int[np.ndarray, "n 2"], frame: Frame
) -> Pixels:
    """The points (x, y) of a table, each in its image of `sizes` (width, height)."""
    extent, corner = _box(frame.units, sizes)
    relative = frame.units in RELATIVE
    moved = points - corner - (0.5 if frame.origin == 1 and not relative else 0.0)
    if frame.zero == "centre":
        moved = moved * (1, -1) + extent / 2
    elif frame.zero == "bottom-left":
        moved = moved * (1, -1) + extent * (0, 1)
    xy = moved * (sizes / extent)
    x, y = xy.T
    upwards = frame.zero != "top-left"
    rows = np.ceil(y - ROUNDING) - 1 if upwards else np.floor(y + ROUNDING)
    cells = np.stack([rows, np.floor(x + ROUNDING)], axis=1)
    inside = np.all((cells >= 0) & (cells < sizes[:, ::-1]), axis=1)
    if relative:  # 0 and 1 are both of the image
        edge = np.all((xy >= -ROUNDING) & (xy <= sizes + ROUNDING), axis=1)
        cells[edge] = cells[edge].clip(0, sizes[edge][:, ::-1] - 1)
        inside |= edge
    return Pixels(xy, cells, inside)


def doubt(
    points: Float[np.ndarray, "n 2"], sizes: Int[np.ndarray, "n 2"], frame: Frame
) -> str | None:
    """Why the points cannot be in this frame, and in which they may be; None if they can."""
    pixels = in_pixels(points, sizes, frame)
    if frame.units not in RELATIVE and np.quantile(points, 0.9) <= 1 and sizes.min() > 2:
        why = f"nine tenths of x and y are below {np.quantile(points, 0.9):.2g}"
    elif len(points) < FEW:
        return None
    elif (share := 1 - pixels.inside.mean()) > TOO_MANY:
        why = f"{share:.0%} of the points are outside of their images"
    elif _in_corner(pixels.xy / sizes):
        x, y = np.quantile(pixels.xy / sizes, MOSTLY, axis=0)
        why = f"98 % of the points lie in the first {x:.1%} of the width and {y:.1%} of the height"
    else:
        return None
    fitting = (each for each in _others(frame) if each != frame and _fit(points, sizes, each))
    cures = (each.words(frame) for each in fitting)
    display = "--units WIDTHxHEIGHT, the size in pixels at which the images were shown"
    return f"{why}; do x and y count something else? If so, pass {next(cures, display)}"


def slip(
    points: Float[np.ndarray, "n 2"], sizes: Int[np.ndarray, "n 2"], frame: Frame
) -> str | None:
    """What would bring all points of a table inside, where some are outside."""
    if in_pixels(points[:, ::-1], sizes, frame).inside.all():
        return "with x and y exchanged all points of the file would fit: are the columns swapped?"
    other = replace(frame, origin=1 - frame.origin)  # type: ignore[arg-type]
    whole = (points == np.rint(points)).all()
    if whole and frame.units not in RELATIVE and in_pixels(points, sizes, other).inside.all():
        return (
            f"counted from {other.origin} all points of the file would fit: pass --origin "
            f"{other.origin}"
        )
    return None


def _box(units: str, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the image covers in these units: its width and height, and the corner's x and y."""
    if units == "pixels":
        return sizes.astype(np.float64), np.zeros(2)
    if units in RELATIVE:
        return np.full(2, RELATIVE[units]), np.zeros(2)
    found = DISPLAY.fullmatch(units)
    assert found is not None  # Frame has seen to it
    w, h, x, y = (float(each or 0) for each in found.groups())
    return np.array([w, h]), np.array([x, y])


def _in_corner(shares: Float[np.ndarray, "n 2"]) -> bool:
    median, most = np.quantile(shares, (0.5, MOSTLY), axis=0)
    return bool((median < CORNER_MEDIAN).all() and (most < CORNER).all())


def _others(frame: Frame) -> Iterator[Frame]:
    yield from (replace(frame, units=units, origin=0) for units in RELATIVE)
    yield replace(frame, units="pixels")
    yield from (replace(frame, zero=zero) for zero in ("centre", "top-left"))


def _fit(points: np.ndarray, sizes: np.ndarray, frame: Frame) -> bool:
    pixels = in_pixels(points, sizes, frame)
    median = np.median(pixels.xy / sizes, axis=0)
    central = len(points) < FEW or (abs(median - 0.5) < CENTRAL).all()
    return bool(pixels.inside.mean() >= MOSTLY and central)
