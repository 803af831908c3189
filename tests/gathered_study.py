"""Studies as `attnlabels collect start` leaves them, of simulated players, without a server."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from attnlabels.clickmaps.blurring import bubbled
from attnlabels.scenes.parts import PartScene, draw_part_scene
from attnlabels.scenes.scenes import Style
from attnlabels.simulated.rounds import Bubble, Game, play
from attnlabels.simulated.strokes import Hand, Known, Manner

CLASSES = ("ball", "cup", "star")
SETTINGS = {"task": "paint", "paint": {"seconds": 7.0, "bubble_px": 3, "patch_px": 4}}
TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE participants(id TEXT PRIMARY KEY, started TEXT, consent TEXT, app TEXT, family TEXT,
    language TEXT);
CREATE TABLE rounds(id TEXT PRIMARY KEY,
    participant TEXT REFERENCES participants ON DELETE CASCADE, image INTEGER, task TEXT,
    kind TEXT, position INTEGER, handed TEXT, finished TEXT, outcome TEXT, score REAL,
    duration_ms REAL, pointer TEXT, scale REAL, ratio REAL, shown_width REAL, shown_height REAL,
    frames INTEGER, late INTEGER, period_ms REAL, hidden INTEGER, samples TEXT, guesses TEXT,
    checks TEXT);
"""
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
STYLE = Style(
    object_size=(0.44, 0.60),
    object_spread=0.2,
    rotation_sd=0.35,
    hue_jitter=0.02,
    contrast=0.45,
    period=(0.06, 0.12),
    n_regions=(1, 1),
    n_distractors=(1, 3),
    occlusion=0.0,
    shortcut=0.0,
    noise_sd=0.02,
    texture_shift=0,
    hue_shift=0.0,
)
GAME = Game(step=1.5)
RECOGNISED = 0.5  # of the part, uncovered: what the partner of these studies knows the class from


@dataclass(frozen=True, kw_only=True)
class Made:
    """A study, its folder of images, and what each participant is."""

    study: Path
    images: Path
    manners: dict[str, Manner]
    scenes: list[PartScene]


def make_study(
    folder: Path,
    manners: Sequence[Manner],
    *,
    seed: int = 0,
    n_images: int = 12,
    n_rounds: int = 8,
    n_repeats: int = 2,
    n_catch: int = 0,
    n_practice: int = 1,
    side: int = 48,
    game: Game = GAME,
    adaptive: bool = True,
    name: str = "study",
) -> Made:
    """A study of part scenes; the last `n_catch` images are catch images.

    Players who are not `adaptive` paint until the time is over.
    """
    rng = np.random.default_rng(seed)
    scenes = [
        draw_part_scene(rng, i % len(CLASSES), size=side, part_size=0.5, style=STYLE)
        for i in range(n_images)
    ]
    images, study = folder / "images", folder / name
    study.mkdir(parents=True)
    _write_images(images, study / "images.csv", scenes, n_catch=n_catch)
    (study / "study.yaml").write_text(json.dumps(SETTINGS | {"task": game.task}))
    known = [Known(each.mask.astype(np.float64), each.part.astype(np.float64)) for each in scenes]
    rows: list[dict[str, Any]] = []
    people: dict[str, Manner] = {}
    for number, manner in enumerate(manners):
        id = hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:12]
        people[id] = manner
        hand = Hand(manner=manner, part_share=rng.uniform(0.7, 0.95), pace=rng.uniform(0.7, 1))
        kinds = _kinds(rng, n_images - n_catch, n_catch, n_rounds, n_repeats, n_practice)
        for position, (image, kind) in enumerate(kinds):
            guess = _partner(known[image]) if adaptive else None
            played = play(rng, hand, known[image], game, guess=guess)
            place = {"participant": id, "image": image, "task": game.task, "kind": kind}
            rows.append(_row(place, played, number=number, position=position))
    with closing(sqlite3.connect(study / "study.sqlite")) as base:
        base.executescript(TABLES)
        base.execute("PRAGMA user_version=1")
        for number, id in enumerate(people):
            began = stamp(START + timedelta(minutes=number))
            row = (id, began, "0123456789ab", "0.1.0", "Firefox", "en")
            base.execute("INSERT INTO participants VALUES (?, ?, ?, ?, ?, ?)", row)
        for row in rows:
            insert(base, row)
        base.commit()
    return Made(study=study, images=images, manners=people, scenes=scenes)


def insert(base: sqlite3.Connection, row: Mapping[str, Any]) -> None:
    """Add a row of `rounds`; what has parts becomes JSON."""
    told = [json.dumps(each) if isinstance(each, list | dict) else each for each in row.values()]
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    base.execute(f"INSERT INTO rounds ({names}) VALUES ({marks})", told)


def change(study: Path, statement: str, *values: Any) -> None:
    """Change a study's database."""
    with closing(sqlite3.connect(study / "study.sqlite")) as base:
        base.execute(statement, values)
        base.commit()


def stamp(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _write_images(images: Path, table: Path, scenes: Sequence[PartScene], *, n_catch: int) -> None:
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", "path", "class", "width", "height", "sha256", "catch"])
        for i, scene in enumerate(scenes):
            label = CLASSES[scene.label]
            path = images / label / f"{i:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), scene.image[..., ::-1])
            h, w = scene.mask.shape
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            catch = int(i >= len(scenes) - n_catch)
            writer.writerow([i, f"{label}/{path.name}", label, w, h, digest, catch])


def _kinds(
    rng: np.random.Generator,
    n_plain: int,
    n_catch: int,
    n_rounds: int,
    n_repeats: int,
    n_practice: int,
) -> list[tuple[int, str]]:
    order = rng.permutation(n_plain).tolist()
    practice = [(image, "practice") for image in order[:n_practice]]
    fresh = order[n_practice : n_practice + n_rounds]
    played = [(image, "play") for image in fresh]
    played += [(n_plain + i, "catch") for i in range(n_catch)]
    return practice + played + [(image, "repeat") for image in fresh[:n_repeats]]


def _partner(known: Known) -> Any:
    def guess(bubbles: Sequence[Bubble]) -> bool:
        places = np.floor([(y, x) for _, x, y in bubbles]).astype(np.int64)
        seen = bubbled(places, size=known.mask.shape, reach=4)
        return bool(known.part[seen].sum() > RECOGNISED * known.part.sum())

    return guess


def _row(
    place: dict[str, Any], played: dict[str, Any], *, number: int, position: int
) -> dict[str, Any]:
    handed = START + timedelta(minutes=number, seconds=20 * position + 5)
    finished = handed + timedelta(milliseconds=played["duration_ms"] + 900)
    won = played["outcome"] == "recognised"
    top = [["cup", 0.6], ["ball", 0.3], ["star", 0.1]]
    return {
        "id": f"{place['participant']}-{position}",
        **place,
        "position": position,
        "handed": stamp(handed),
        "finished": stamp(finished),
        "score": 100 * max(0.0, 1 - played["duration_ms"] / 7000) if won else 0.0,
        "guesses": [{"t_ms": 500.0, "n": 10, "top": top}],
        "checks": {},
        **played,
    }
