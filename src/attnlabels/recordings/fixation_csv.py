"""Read where people looked from a table of points: image, x, y and, if known, who, when, how long.

A row is a point: x from the image's left border and y from its top, in pixels of the file as it is
stored (a camera's rotation mark in it is ignored), unless the reading says otherwise. Counted from
0, the first pixel covers 0 to 1, so a point lies in pixel floor(x); counted from 1, as MATLAB does,
its centre is 1.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from attnlabels.images.broken import Broken, note_left_out
from attnlabels.images.decoding import UNREADABLE
from attnlabels.recordings.coordinates import FEW, Frame, Origin, Zero, doubt, in_pixels, slip
from attnlabels.recordings.csv_table import Lost, Rows, read_rows
from attnlabels.recordings.points import Outside, Recording, is_inside, merge, place, plain_name

AT_ZERO = 0.01  # the share of points at (0, 0) above which they are no fixations


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How recordings are read. What is said of columns, frame and lost rows, is of CSV tables.

    Raises ValueError for `units` that are none of those in `attnlabels.recordings.coordinates`.
    """

    columns: Mapping[str, str] = field(default_factory=dict)  # what the file calls image, x, y, ...
    units: str = "pixels"  # shares, percent, WIDTHxHEIGHT or WIDTHxHEIGHT+X+Y on the display
    origin: Origin = 0  # what pixels are counted from
    zero: Zero = "top-left"  # where they are; from the others y grows upwards
    lost: Lost = "stop"  # at a row in which nothing was measured: x or y empty, `.`, `nan`; 0 and 0
    outside: Outside = "refuse"  # at a point outside of its image
    broken: Broken = "stop"  # at an image that is missing or unreadable
    trust_coordinates: bool = False  # whether it is not asked if the points can be right

    def __post_init__(self) -> None:
        Frame(units=self.units)  # says what is wrong with it

    @property
    def frame(self) -> Frame:
        """What x and y of a table count."""
        return Frame(units=self.units, origin=self.origin, zero=self.zero)


class Table(NamedTuple):
    """The recordings of a table, and what of it they leave out."""

    recordings: list[Recording]
    skipped: list[str]  # images
    n_lost: int  # rows in which nothing was measured


def read_csv(path: Path, images: Path, reading: Reading = Reading()) -> Table:
    """The recordings of the images in the folder `images` that the table names.

    The header names image, x and y and may name observer, t and duration, in any order, or
    `reading.columns` says what they are called; without `observer` all points are one person's.
    `t` and `duration` are checked and not used: SALICON's maps count a point once, however long it
    was looked at. An image that is spelled in two ways is one.

    Raises ValueError with the line for a header, a cell or a number that does not fit and for a
    point outside of its image, and says if x and y seem exchanged or to count something else. An
    image that is missing or unreadable stops, or with `broken` "skip" is skipped with its rows.
    """
    rows = read_rows(path, columns=reading.columns, lost=reading.lost)
    rows = _without_zeros(rows, path, reading)
    names = [_name(images, each) for each in rows.names]
    sizes, skipped = _sizes(names, rows, images, path, reading)
    rows = rows.where(sizes[rows.images, 0] > 0)
    of_point = sizes[rows.images]
    if not reading.trust_coordinates and (why := doubt(rows.points, of_point, reading.frame)):
        raise ValueError(f"{path}: {why}, or say that you trust the coordinates")
    recordings = _place(rows, names, sizes, path, reading)
    return Table(merge(recordings, key=str), list(dict.fromkeys(skipped)), rows.n_lost)


def _without_zeros(rows: Rows, path: Path, reading: Reading) -> Rows:
    """Rows at (0, 0) are what some trackers write while an eye is lost."""
    zero = (rows.points == 0).all(axis=1)
    if reading.zero == "centre" or not zero.any():
        return rows
    if reading.lost == "drop":
        if zero.all():
            raise ValueError(f"{path}: all {len(zero)} points are at (0, 0), so none was measured")
        return rows.where(~zero)._replace(n_lost=rows.n_lost + int(zero.sum()))
    if not reading.trust_coordinates and len(zero) >= FEW and zero.mean() > AT_ZERO:
        raise ValueError(
            f"{path}: line {rows.lines[np.argmax(zero)]} and {zero.sum() - 1} more of {len(zero)} "
            "are at (0, 0): was the eye lost there? Remove such lines, pass --lost drop, or say "
            "that you trust the coordinates"
        )
    return rows


def _name(images: Path, name: str) -> str:
    """The image's one spelling; separators of Windows are taken where no file has such a name."""
    name = plain_name(name)
    windows = "\\" in name and not _is_file(images / name)
    return plain_name(name.replace("\\", "/")) if windows else name


def _sizes(
    names: list[str], rows: Rows, images: Path, path: Path, reading: Reading
) -> tuple[Int[np.ndarray, "k 2"], list[str]]:
    """Width and height of each image, -1 where it is left out, and the names of those."""
    sizes = np.full((len(names), 2), -1)
    skipped: list[str] = []
    for number in np.unique(rows.images):
        try:
            sizes[number] = _size(images, names[number])
        except (ValueError, OSError) as error:
            if reading.broken == "stop":
                line = rows.lines[np.argmax(rows.images == number)]
                kind = ValueError if isinstance(error, ValueError) else FileNotFoundError
                raise kind(f"{path}: line {line}: {error}") from None
            note_left_out(skipped, names[number], str(error))
    if (sizes < 0).all():
        raise ValueError(f"{path}: none of its {len(names)} images is in {images}")
    return sizes, skipped


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _size(images: Path, name: str) -> tuple[int, int]:
    if not is_inside(name):
        raise ValueError(f"image {name!r} is outside of {images}; name it from there on")
    path = images / name
    if not _is_file(path):
        raise FileNotFoundError(
            f"no image {path}; put it there, mend the name (with its ending), or skip such images"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:  # of the file only its head is read
                return image.size
    except UnidentifiedImageError as error:  # which tells of the path once more
        raise ValueError(f"{path} is not an image of a known kind; fetch it again") from error
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image ({error}); fetch it again") from error


def _place(
    rows: Rows, names: list[str], sizes: Int[np.ndarray, "k 2"], path: Path, reading: Reading
) -> list[Recording]:
    """A recording for each image that has rows."""
    of_point = sizes[rows.images]
    pixels = in_pixels(rows.points, of_point, reading.frame)
    n_outside = int((~pixels.inside).sum())

    def refuse(part: np.ndarray, number: int) -> ValueError:
        i = part[number]
        (x, y), (width, height) = rows.points[i], of_point[i]
        hint = slip(rows.points, of_point, reading.frame) or (
            "mend or remove it, or pass --outside drop, or clip for what is near"
        )
        return ValueError(
            f"{path}: line {rows.lines[i]}: the point (x {x:g}, y {y:g}) is outside of "
            f"{names[rows.images[i]]}, {width} wide and {height} high, counted from "
            f"{reading.origin}; {hint} "
            f"({n_outside} of {len(rows.points)} points are outside)"
        )

    order = np.argsort(rows.images, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(rows.images, minlength=len(names)))[:-1])
    return [
        place(
            pixels.cells[part],
            rows.observers[part],
            name=name,
            size=(int(height), int(width)),
            outside=reading.outside,
            refuse=partial(refuse, part),
        )
        for name, (width, height), part in zip(names, sizes, parts)
        if len(part)
    ]
