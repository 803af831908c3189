"""Read a table of points from text: CSV, or what trackers and spreadsheets export in its place.

Columns are separated by commas, semicolons or tabs, told by the header; text is UTF-8 or UTF-16;
numbers have a decimal point or, where the comma separates no columns, a decimal comma.
"""

import csv
import re
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from attnlabels.files.pointers import refuse_pointer

REQUIRED = ("image", "x", "y")
OPTIONAL = ("observer", "t", "duration")
MEASURED = ("t", "duration")  # checked and not used: SALICON's maps count a point once
NOTHING = ("", ".", "-", "na", "n/a", "nan", "null", "none")  # what stands for no measurement
NUMBER = re.compile(r"[+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d+)?", re.ASCII)
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}", re.ASCII)
SEPARATORS = (",", ";", "\t")
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

Lost = Literal["stop", "drop"]


class Export(NamedTuple):
    """A kind of export: what it calls its columns, and what else must be said of it."""

    columns: dict[str, str]
    options: str = ""


def _tobii(image: str, x: str, y: str, observer: str) -> Export:
    # It has rows without a fixation, whose cells are empty.
    return Export({"image": image, "x": x, "y": y, "observer": observer}, " --lost drop")


# Tobii Pro Lab, an older one and Tobii Studio; SR Research's Data Viewer (EyeLink), where the image
# is a variable of the experiment's; Pupil Cloud and Pupil Player, whose files are of one image.
EXPORTS = (
    _tobii(
        "Presented Stimulus name",
        "Fixation point X [MCS px]",
        "Fixation point Y [MCS px]",
        "Participant name",
    ),
    _tobii("Presented Stimulus name", "Fixation point X", "Fixation point Y", "Participant name"),
    _tobii("MediaName", "FixationPointX (MCSpx)", "FixationPointY (MCSpx)", "ParticipantName"),
    Export({"x": "CURRENT_FIX_X", "y": "CURRENT_FIX_Y", "observer": "RECORDING_SESSION_LABEL"}),
    Export({"x": "fixation x [px]", "y": "fixation y [px]", "observer": "recording id"}),
    Export({"x": "norm_pos_x", "y": "norm_pos_y"}, " --units shares --zero bottom-left"),
)


class Rows(NamedTuple):
    """The rows of a table; images and observers are numbered in the order they appear."""

    names: list[str]  # of the images
    images: Int[np.ndarray, "n"]
    points: Float[np.ndarray, "n 2"]  # (x, y) as in the file
    observers: Int[np.ndarray, "n"]
    lines: Int[np.ndarray, "n"]  # of the file, from 1
    n_lost: int  # rows left out

    def where(self, kept: Bool[np.ndarray, "n"]) -> "Rows":
        """Those of the rows, of all images."""
        return self._replace(
            images=self.images[kept],
            points=self.points[kept],
            observers=self.observers[kept],
            lines=self.lines[kept],
        )


class Header(NamedTuple):
    """How the columns are separated, how many they are, and which of them are read."""

    separator: str
    n_cells: int
    place: dict[str, int]


def read_rows(path: Path, *, columns: Mapping[str, str], lost: Lost) -> Rows:
    """The rows of the table, checked.

    `columns` says what the file calls image, x, y and perhaps observer, t and duration; what it
    does not say of image, x, y and observer has that very name. With it, further columns are passed
    over; without, refused. A row in which nothing was measured (x or y is empty, `.`, `nan`, ...)
    or that names no image stops, or with `lost` "drop" is left out and counted.

    Raises ValueError with the line for what does not fit.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; name a CSV file of points")
    refuse_pointer(path)
    if unknown := [key for key in columns if key not in REQUIRED + OPTIONAL]:
        raise ValueError(f"columns: {unknown[0]!r} is none of {', '.join(REQUIRED + OPTIONAL)}")
    try:
        encoding = _encoding(path)
        header = _read_header(path, encoding, columns)
        with path.open(newline="", encoding=encoding) as file:
            reader = csv.reader(file, strict=True, delimiter=header.separator)
            return _collect(reader, header, path, lost)
    except (csv.Error, UnicodeError) as error:
        raise ValueError(
            f"{path}: not a CSV file in UTF-8 or UTF-16 ({error}); save it as one"
        ) from error


def parse_columns(text: str) -> dict[str, str]:
    """`x=Gaze X,y=Gaze Y` as a mapping; a name may hold commas. ValueError for other text."""
    keys = "|".join(REQUIRED + OPTIONAL)
    pairs = [part.partition("=") for part in re.split(rf",(?=(?:{keys})=)", text)]
    columns = {key: name for key, _, name in pairs}
    if len(columns) < len(pairs) or not all(name for _, _, name in pairs):
        raise ValueError(f"{text!r}: expected KEY=NAME,KEY=NAME,... with each of {keys} once")
    return columns


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2000)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    # A header is of ASCII mostly, where every other byte of UTF-16 is 0.
    zeros = Counter(i % 2 for i, byte in enumerate(start) if byte == 0)
    if sum(zeros.values()) > len(start) / 4:
        return "utf-16-le" if zeros[1] > zeros[0] else "utf-16-be"
    return "utf-8"


def _read_header(path: Path, encoding: str, columns: Mapping[str, str]) -> Header:
    headers = {}
    for separator in SEPARATORS:
        with path.open(newline="", encoding=encoding) as file:
            reader = csv.reader(file, delimiter=separator)  # not strict: it may not separate
            headers[separator] = [cell.strip() for cell in next(reader, [])]
    keys = (*REQUIRED, "observer", *columns) if columns else REQUIRED + OPTIONAL
    wanted = {key: columns.get(key, key) for key in keys}
    # The separator that tells most of what is wanted, or makes most columns.
    separator = max(
        SEPARATORS,
        key=lambda each: (len(set(wanted.values()) & set(headers[each])), len(headers[each])),
    )
    header = headers[separator]
    fault = _fault(header, wanted, columns)
    if fault:
        shown = ",".join(header)
        shown = shown if len(shown) <= 300 else f"{shown[:300]}..."
        raise ValueError(
            f"{path}: line 1: the header {shown!r} {fault}; expected {', '.join(REQUIRED)} and "
            f"perhaps {', '.join(OPTIONAL)}, separated by commas, semicolons or tabs: rename or "
            f"remove columns, or {_advice(header)}"
        )
    place = {key: header.index(name) for key, name in wanted.items() if name in header}
    return Header(separator, len(header), place)


def _fault(
    header: Sequence[str], wanted: Mapping[str, str], columns: Mapping[str, str]
) -> str | None:
    needed = [name for key, name in wanted.items() if key in REQUIRED or key in columns]
    if missing := [name for name in needed if name not in header]:
        return f"has no column {missing[0]!r}"
    if doubled := [name for name in wanted.values() if header.count(name) > 1]:
        return f"names {doubled[0]!r} twice"
    unknown = [name for name in header if name not in wanted.values()]
    return f"has the column {unknown[0]!r}" if unknown and not columns else None


def _advice(header: Sequence[str]) -> str:
    """The options that say which columns to take, if the header is of an export that is known."""
    for columns, options in EXPORTS:
        if columns["x"] in header and columns["y"] in header:
            named = {key: each for key, each in columns.items() if each in header}
            words = ",".join(f"{key}={each}" for key, each in ({"image": "..."} | named).items())
            return f"pass --columns '{words}'{options}"
    return "say which they are: --columns 'image=...,x=...,y=...,observer=...'"


@dataclass
class _Numbers:
    """Reads the numbers of a file, which write decimals in one way."""

    path: Path
    separator: str
    point: int = 0  # the first line with a decimal point, 0 for none
    comma: int = 0  # the first line with a comma in a number
    n_commas: int = 0
    n_thousands: int = 0  # commas with three digits after them
    n_whole: int = 0

    def read(self, text: str, key: str, line: int) -> float:
        if not NUMBER.fullmatch(text) or ("," in text and self.separator == ","):
            raise ValueError(
                f"{self.path}: line {line}: `{key}` is {text[:50]!r}, expected a number (with a "
                "decimal point; with a comma only where semicolons or tabs separate the columns)"
            )
        value = float(text.replace(",", "."))
        if not np.isfinite(value):
            raise ValueError(f"{self.path}: line {line}: `{key}` is {text[:50]}; mend or remove it")
        if "," in text:
            self.comma = self.comma or line
            self.n_commas += 1
            self.n_thousands += bool(THOUSANDS.fullmatch(text))
        elif "." in text:
            self.point = self.point or line
        else:
            self.n_whole += 1
        return value

    def require_one_way(self) -> None:
        if self.comma and self.point:
            raise ValueError(
                f"{self.path}: line {self.comma} has a number with a comma and line {self.point} "
                "one with a point; write decimals in one way, and thousands without a mark"
            )
        if self.n_whole and self.n_commas and self.n_thousands == self.n_commas:
            raise ValueError(
                f"{self.path}: line {self.comma}: a number with a comma and three digits after it, "
                "as all that have one: thousands or decimals? Write thousands without a mark, "
                "decimals with a point"
            )


class _Names:
    """Numbers names in the order they appear."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.seen = array("q")

    def add(self, name: str) -> None:
        self.seen.append(self.numbers.setdefault(name, len(self.numbers)))


def _collect(reader: Any, header: Header, path: Path, lost: Lost) -> Rows:
    images, people, numbers = _Names(), _Names(), _Numbers(path, header.separator)
    points, lines, n_lost = array("d"), array("q"), 0
    next(reader)
    for cells in reader:
        line = reader.line_num
        if not any(map(str.strip, cells)):  # an empty line, or separators alone
            continue
        if len(cells) != header.n_cells:
            raise ValueError(
                f"{path}: line {line}: {len(cells)} cells, the header names {header.n_cells}; "
                "mend it"
            )
        found = {key: cells[i].strip() for key, i in header.place.items()}
        if empty := [key for key in REQUIRED if _is_nothing(found[key], key)]:
            if lost == "stop":
                raise ValueError(
                    f"{path}: line {line}: `{empty[0]}` is {found[empty[0]]!r}, so nothing was "
                    "measured or shown; remove such lines, or pass --lost drop"
                )
            n_lost += 1
            continue
        for key in ("x", "y"):
            points.append(numbers.read(found[key], key, line))
        _require_row(found, numbers, f"{path}: line {line}", line)
        images.add(found["image"])
        people.add(found.get("observer", ""))
        lines.append(line)
    numbers.require_one_way()
    if not lines:
        left = f" ({n_lost} rows are left out, in which nothing was measured)" if n_lost else ""
        raise ValueError(f"{path}: has a header and no points{left}")
    return Rows(
        names=list(images.numbers),
        images=np.array(images.seen, np.int64),
        points=np.array(points).reshape(-1, 2),
        observers=np.array(people.seen, np.int64),
        lines=np.array(lines, np.int64),
        n_lost=n_lost,
    )


def _is_nothing(text: str, key: str) -> bool:
    return text == "" if key == "image" else text.lower() in NOTHING


def _require_row(found: Mapping[str, str], numbers: _Numbers, where: str, line: int) -> None:
    if found.get("observer") == "":
        raise ValueError(f"{where}: `observer` is empty; fill it or remove the line")
    for key in MEASURED:
        if key in found and numbers.read(found[key], key, line) < 0 and key == "duration":
            raise ValueError(f"{where}: `duration` is {found[key]}, expected 0 or more")
