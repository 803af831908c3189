"""Read where people looked from a plain CSV file: image, x, y and, if known, who, when, how long.

A row is a point: x pixels from the image's left border and y from its top, as the file is stored
(a camera's rotation mark in it is ignored). Counted from 0, the first pixel covers 0 to 1, so a
point lies in pixel floor(x); counted from 1, as MATLAB does, its centre is 1, so in round(x) - 1.
"""

import csv
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from PIL import Image

from attnlabels.recordings.salicon import Recording

REQUIRED = ("image", "x", "y")
OPTIONAL = ("observer", "t", "duration")
NUMBERS = ("x", "y", "t", "duration")
Origin = Literal[0, 1]


class Rows(NamedTuple):
    """The rows of the file; images and observers are numbered in the order they appear."""

    names: list[str]  # of the images
    images: Int[np.ndarray, "n"]
    points: Float[np.ndarray, "n 2"]  # (x, y) as in the file
    observers: Int[np.ndarray, "n"]
    lines: Int[np.ndarray, "n"]  # of the file, from 1


def read_csv(
    path: Path, images: Path, *, origin: Origin, broken: Literal["stop", "skip"]
) -> tuple[list[Recording], list[str]]:
    """The recordings of the images in the folder `images` that the file names, and those skipped.

    The header names image, x and y and may name observer, t and duration, in any order; without
    `observer` all points are one person's. `t` and `duration` are checked and not used: SALICON's
    maps count a point once, however long it was looked at. Pixels are counted from `origin`.

    Raises ValueError with the line for a header, a cell or a number that does not fit and for a
    point outside of its image, and says if x and y seem exchanged, counted from the other origin
    or given as shares. An image that is missing or unreadable stops, or with `broken` "skip" is
    skipped with its rows.
    """
    rows = _read_rows(path)
    sizes: list[tuple[int, int] | None] = []  # (width, height)
    for number, name in enumerate(rows.names):
        try:
            sizes.append(_size(images, name))
        except (ValueError, FileNotFoundError) as error:
            if broken == "stop":
                line = rows.lines[np.argmax(rows.images == number)]
                raise type(error)(f"{path}: line {line}: {error}") from None
            sizes.append(None)
    skipped = [name for name, size in zip(rows.names, sizes) if size is None]
    if len(skipped) == len(rows.names):
        raise ValueError(f"{path}: none of its {len(skipped)} images is in {images}")
    per_image = np.array([size or (-1, -1) for size in sizes])
    known = per_image[rows.images, 0] > 0
    _require_inside(rows, per_image, known, path=path, origin=origin)
    shifted = np.floor(rows.points) if origin == 0 else np.rint(rows.points) - 1
    cells = shifted.astype(np.int64)[:, ::-1]
    order = np.argsort(rows.images, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(rows.images))[:-1])
    recordings = [
        Recording(
            name=name,
            height=size[1],
            width=size[0],
            points=cells[part],
            observers=rows.observers[part],
        )
        for name, size, part in zip(rows.names, sizes, parts)
        if size is not None
    ]
    return recordings, skipped


def _read_rows(path: Path) -> Rows:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name a CSV file of points")
    names: dict[str, int] = {}
    observers: dict[str, int] = {}
    of_image, of_observer, lines = array("q"), array("q"), array("q")
    numbers = array("d")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            _require_header(header, path)
            place = {key: header.index(key) for key in header}
            for cells in reader:
                if not cells:  # an empty line
                    continue
                where = f"{path}: line {reader.line_num}"
                if len(cells) != len(header):
                    raise ValueError(
                        f"{where}: {len(cells)} cells, the header names {len(header)}; mend it"
                    )
                found = dict(zip(header, cells))
                values = dict(_numbers(found, where))
                for key in ("image", "observer"):
                    if key in place and not found[key].strip():
                        raise ValueError(f"{where}: `{key}` is empty; fill it or remove the line")
                name = found["image"].strip()
                of_image.append(names.setdefault(name, len(names)))
                who = found.get("observer", "").strip()
                of_observer.append(observers.setdefault(who, len(observers)))
                numbers.extend((values["x"], values["y"]))
                lines.append(reader.line_num)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a CSV file in UTF-8 ({error}); save it as one") from error
    if not lines:
        raise ValueError(f"{path}: has a header and no points")
    return Rows(
        names=list(names),
        images=np.array(of_image, np.int64),
        points=np.array(numbers).reshape(-1, 2),
        observers=np.array(of_observer, np.int64),
        lines=np.array(lines, np.int64),
    )


def _require_header(header: Sequence[str], path: Path) -> None:
    missing = [key for key in REQUIRED if key not in header]
    unknown = [key for key in header if key not in REQUIRED + OPTIONAL]
    expected = f"expected {', '.join(REQUIRED)} and perhaps {', '.join(OPTIONAL)}"
    if missing or unknown:
        fault = f"has no column {missing[0]!r}" if missing else f"has the column {unknown[0]!r}"
        separator = "; separate by commas" if len(header) == 1 else "; rename or remove columns"
        raise ValueError(
            f"{path}: line 1: the header {','.join(header)!r} {fault}; {expected}{separator}"
        )
    if doubled := [key for key in header if header.count(key) > 1]:
        raise ValueError(f"{path}: line 1: the header names {doubled[0]!r} twice; {expected}")


def _numbers(cells: dict[str, str], where: str) -> Iterator[tuple[str, float]]:
    for key in NUMBERS:
        if key not in cells:
            continue
        try:
            value = float(cells[key])
        except ValueError:
            raise ValueError(
                f"{where}: `{key}` is {cells[key]!r}, expected a number (with a decimal point)"
            ) from None
        if not np.isfinite(value):
            raise ValueError(
                f"{where}: `{key}` is {cells[key]}; remove lines in which nothing was measured"
            )
        if key == "duration" and value < 0:
            raise ValueError(f"{where}: `duration` is {value:g}, expected 0 or more")
        yield key, value


def _size(images: Path, name: str) -> tuple[int, int]:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"image {name!r} is outside of {images}; name it from there on")
    path = images / name
    if not path.is_file():
        raise FileNotFoundError(
            f"no image {path}; put it there, mend the name (with its ending), or skip such images"
        )
    try:
        with Image.open(path) as image:  # of the file only its head is read
            return image.size
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image ({error}); fetch it again") from error


def _require_inside(
    rows: Rows,
    per_image: Int[np.ndarray, "k 2"],
    known: np.ndarray,
    *,
    path: Path,
    origin: Origin,
) -> None:
    points, sizes = rows.points[known], per_image[rows.images[known]]
    first = 0.0 if origin == 0 else 0.5

    def outside(points: np.ndarray, first: float) -> np.ndarray:
        return ((points < first) | (points >= sizes + first)).any(axis=1)

    bad = outside(points, first)
    if points.max() <= 1 and sizes.min() > 2:
        raise ValueError(
            f"{path}: all x and y lie between {points.min():g} and {points.max():g}: shares of "
            "the image? Expected pixels; multiply x by its width and y by its height"
        )
    if not bad.any():
        return
    other = 1 - origin
    hint = "remove the point, or mend it"
    if not outside(points[:, ::-1], first).any():
        hint = "with x and y exchanged all points of the file would fit: are the columns swapped?"
    elif (points == np.rint(points)).all() and not outside(points, other / 2).any():
        hint = f"counted from {other} all points of the file would fit: say origin {other}"
    i = np.flatnonzero(bad)[0]
    (x, y), (width, height) = points[i], sizes[i]
    raise ValueError(
        f"{path}: line {rows.lines[known][i]}: the point (x {x:g}, y {y:g}) is outside of "
        f"{rows.names[rows.images[known][i]]}, {width} wide and {height} high, counted from "
        f"{origin}; {hint} ({bad.sum()} of {len(points)} points are outside)"
    )
