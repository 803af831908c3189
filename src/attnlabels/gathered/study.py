"""What a study of `attnlabels collect` holds, read from its folder; its server may be running.

    study.yaml      its settings
    images.csv      number,path,class,width,height,sha256,catch
    study.sqlite    who took part, and their rounds

Places are (x, y) in pixels of the image, 0 at the left and the top edge of the first pixel; times
of a round are milliseconds from its first press, or, where one only looks, from the image's onset.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from attnlabels.collecting.folder import COLUMNS, DATABASE, IMAGES, Image
from attnlabels.collecting.settings import SETTINGS, Task
from attnlabels.collecting.store import VERSION
from attnlabels.pipeline.params import read
from attnlabels.recordings.points import is_inside
from attnlabels.serving.database import reading

Kind = Literal["practice", "play", "catch", "repeat"]
CURE = "copy the study's folder again, or take its last backup"
# What a cell of another form makes of what reads it.
NO_CELL = (ValueError, TypeError, LookupError, RecursionError)


@dataclass(frozen=True, kw_only=True)
class Participant:
    """One who took part."""

    id: str
    started: str  # UTC, ISO 8601
    consent: str  # the version of the text that they agreed to
    app: str
    family: str  # of the browser
    language: str


class Samples(NamedTuple):
    """What the pointer did, in order."""

    t: Float[np.ndarray, "n"]  # ms
    xy: Float[np.ndarray, "n 2"]
    event: list[str]  # down, move, up, bubble or click


class Guess(NamedTuple):
    """What the partner answered when it had seen the first `n` bubbles."""

    t: float
    n: int
    top: list[tuple[str, float]]  # classes and their probabilities, the likeliest first


@dataclass(frozen=True, kw_only=True)
class Round:
    """A finished round."""

    id: str
    participant: str
    image: Image
    task: Task
    kind: Kind
    position: int  # of the participant's rounds, from 0
    handed: str  # when it was given out
    finished: str  # and stored
    outcome: str | None  # recognised, timeout, skipped, done
    score: float | None
    duration_ms: float
    samples: Samples
    guesses: list[Guess]
    checks: dict[str, Any]  # what was repaired or doubtful
    shown: dict[str, Any]  # how: pointer, scale, ratio, shown_width, ..., as the columns are called

    @property
    def hidden(self) -> int:
        """How often the page was hidden."""
        return int(self.shown["hidden"] or 0)


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study as it was when it was read."""

    folder: Path
    settings: Mapping[str, Any]
    images: list[Image]
    participants: dict[str, Participant]  # by id, in the order they began
    rounds: list[Round] = field(repr=False)  # in the order they were handed out
    unfinished: int  # rounds that were handed out and never came back

    @property
    def reach(self) -> int | None:
        """The side of a bubble in pixels of the image; None where the settings do not tell."""
        paint = self.settings.get("paint")
        side = paint.get("bubble_px") if isinstance(paint, Mapping) else None
        return side if isinstance(side, int) and side > 0 else None

    @property
    def numbers(self) -> dict[str, int]:
        """A number for each participant, from 0 in the order they began."""
        return {id: number for number, id in enumerate(self.participants)}


GIVEN = [
    "id",
    "participant",
    "task",
    "kind",
    "position",
    "handed",
    "finished",
    "outcome",
    "score",
]
SHOWN = [
    "pointer",
    "scale",
    "ratio",
    "shown_width",
    "shown_height",
    "frames",
    "late",
    "period_ms",
    "hidden",
]


def read_study(folder: Path) -> Study:
    """The study in a folder; nothing in it is changed.

    Raises FileNotFoundError where there is none, and ValueError, naming the file, for one of
    another version, for damage, and where no round is finished.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: no study here ({DATABASE} is missing); name its folder")
    if not (folder / SETTINGS).is_file():
        raise FileNotFoundError(f"{folder / SETTINGS}: the study's settings are missing; {CURE}")
    images = _read_images(folder / IMAGES)
    by_number = {each.number: each for each in images}
    with _opened(path) as rows:
        participants = {
            row["id"]: Participant(**row) for row in rows("participants", "started, id")
        }
        handed = [*rows("rounds", "handed, participant, position")]
    done = [row for row in handed if row["finished"] is not None]
    if not done:
        raise ValueError(f"{folder}: none of its {len(handed)} rounds is finished; collect some")
    rounds = [_round(row, by_number, path) for row in done]
    if strange := {each.participant for each in rounds} - {*participants}:
        raise ValueError(f"{path}: rounds of {min(strange)}, who is no participant; {CURE}")
    return Study(
        folder=folder,
        settings=read(folder / SETTINGS),
        images=images,
        participants=participants,
        rounds=rounds,
        unfinished=len(handed) - len(done),
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Reads tables of the database by name, as rows by column, all of one moment."""
    try:
        with reading(path, version=VERSION, cure=CURE) as base:

            def rows(table: str, order: str) -> Iterator[dict[str, Any]]:
                return map(dict, base.execute(f"SELECT * FROM {table} ORDER BY {order}"))

            yield rows
    except TypeError as error:  # a table of other columns
        raise ValueError(f"{path}: other columns than a study's ({error}); {CURE}") from error


def _read_images(path: Path) -> list[Image]:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the list of the study's images is missing; {CURE}")
    images = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file, strict=True)
            if missing := [key for key in COLUMNS if key not in (table.fieldnames or [])]:
                raise ValueError(f"{path}: no column {', '.join(missing)}; {CURE}")
            for row in table:
                try:
                    images.append(_image(row))
                except NO_CELL as error:
                    where = f"{path}: line {table.line_num}"
                    raise ValueError(f"{where}: no image of a study ({error}); {CURE}") from None
    except (csv.Error, UnicodeError) as error:
        raise ValueError(f"{path}: no CSV in UTF-8 ({error}); {CURE}") from error
    return images


def _image(row: Mapping[str, str]) -> Image:
    if not is_inside(row["path"]):
        raise ValueError(f"its path {row['path']!r} leads out of the folder")
    return Image(
        number=int(row["number"]),
        path=row["path"],
        label=row["class"],
        width=int(row["width"]),
        height=int(row["height"]),
        sha256=row["sha256"],
        catch=row["catch"].strip().lower() in ("1", "true"),
    )


def _round(row: Mapping[str, Any], images: Mapping[int, Image], path: Path) -> Round:
    try:
        if row["task"] not in get_args(Task) or row["kind"] not in get_args(Kind):
            raise ValueError(f"the task {row['task']!r} of kind {row['kind']!r}")
        return Round(
            **{key: row[key] for key in GIVEN},
            image=images[row["image"]],
            duration_ms=float(row["duration_ms"] or 0),
            samples=_samples(row["samples"]),
            guesses=[_guess(each) for each in json.loads(row["guesses"] or "[]")],
            checks=json.loads(row["checks"] or "{}"),
            shown={key: row[key] for key in SHOWN},
        )
    except NO_CELL as error:
        why = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: round {row.get('id')} is none of ours ({why}); {CURE}") from None


def _samples(text: str | None) -> Samples:
    found = json.loads(text or "[]")
    numbers = np.array([each[:3] for each in found], np.float64).reshape(-1, 3)
    if not np.isfinite(numbers).all():
        raise ValueError("a sample that is no place")
    return Samples(numbers[:, 0], numbers[:, 1:], [str(each[3]) for each in found])


def _guess(told: Mapping[str, Any]) -> Guess:
    top = [(str(name), float(p)) for name, p in told["top"]]
    return Guess(float(told["t_ms"]), int(told["n"]), top)
