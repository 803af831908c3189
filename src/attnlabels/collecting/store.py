"""What a study keeps: participants and rounds, in SQLite."""

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from attnlabels.collecting.folder import Image, Stamps
from attnlabels.serving.database import Database

VERSION = 1
SCHEMA = """
CREATE TABLE participants (
    id TEXT PRIMARY KEY,
    started TEXT NOT NULL,
    consent TEXT NOT NULL,
    app TEXT NOT NULL,
    family TEXT NOT NULL,
    language TEXT NOT NULL
);
CREATE TABLE rounds (
    id TEXT PRIMARY KEY,
    participant TEXT NOT NULL REFERENCES participants ON DELETE CASCADE,
    image INTEGER NOT NULL,
    task TEXT NOT NULL,
    kind TEXT NOT NULL,
    position INTEGER NOT NULL,
    handed TEXT NOT NULL,
    finished TEXT,
    outcome TEXT,
    score REAL,
    duration_ms REAL,
    pointer TEXT,
    scale REAL,
    ratio REAL,
    shown_width REAL,
    shown_height REAL,
    frames INTEGER,
    late INTEGER,
    period_ms REAL,
    hidden INTEGER,
    samples TEXT,
    guesses TEXT,
    checks TEXT,
    UNIQUE (participant, position)
);
CREATE INDEX rounds_by_score ON rounds (participant, kind, score);
CREATE TABLE study (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE stamps (path TEXT PRIMARY KEY, bytes INTEGER, mtime_ns INTEGER, image TEXT NOT NULL)
"""
PRACTICE = "practice"


class Round(NamedTuple):
    """What the schedule reads of a round."""

    id: str
    image: int
    kind: str
    position: int
    finished: str | None
    outcome: str | None
    score: float | None


ROUND = ", ".join(Round._fields)


def open_store(path: Path) -> Database:
    """The study's database, made where there is none."""
    return Database(path, schema=SCHEMA, version=VERSION)


def now() -> str:
    """UTC in ISO 8601, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def new_id() -> str:
    """A random id, of 64 bits."""
    return secrets.token_hex(8)


def told_of(db: sqlite3.Connection) -> dict[str, Any]:
    """What is kept of the study itself, by name."""
    rows = db.execute("SELECT name, value FROM study")
    return {name: json.loads(value) for name, value in rows}


def tell(db: sqlite3.Connection, told: Mapping[str, Any]) -> None:
    """Keep these of the study itself."""
    rows = [(name, json.dumps(value)) for name, value in told.items()]
    db.executemany("INSERT OR REPLACE INTO study VALUES (?, ?)", rows)


def stamps_of(db: sqlite3.Connection) -> Stamps:
    """What was known of the images' files."""
    rows = db.execute("SELECT path, bytes, mtime_ns, image FROM stamps")
    return {path: ((size, time), Image(**json.loads(image))) for path, size, time, image in rows}


def keep_stamps(db: sqlite3.Connection, stamps: Stamps) -> None:
    """Keep what is known of the images' files, in place of what was."""
    db.execute("DELETE FROM stamps")
    rows = [(path, *stamp, json.dumps(vars(image))) for path, (stamp, image) in stamps.items()]
    db.executemany("INSERT INTO stamps VALUES (?, ?, ?, ?)", rows)


def has_participants(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM participants LIMIT 1").fetchone() is not None


def is_participant(db: sqlite3.Connection, participant: str) -> bool:
    found = db.execute("SELECT 1 FROM participants WHERE id = ?", (participant,)).fetchone()
    return found is not None


def add_participant(
    db: sqlite3.Connection, *, id: str, consent: str, app: str, family: str, language: str
) -> str:
    """Keep somebody who agreed; the id."""
    row = (id, now(), consent, app, family, language)
    db.execute("INSERT INTO participants VALUES (?, ?, ?, ?, ?, ?)", row)
    return row[0]


def remove_participant(db: sqlite3.Connection, participant: str) -> None:
    """Delete all that is kept of somebody."""
    db.execute("DELETE FROM participants WHERE id = ?", (participant,))


def rounds_of(db: sqlite3.Connection, participant: str) -> list[Round]:
    """Somebody's rounds, in their order."""
    rows = db.execute(
        f"SELECT {ROUND} FROM rounds WHERE participant = ? ORDER BY position", (participant,)
    )
    return [Round(*row) for row in rows]


def hand(
    db: sqlite3.Connection,
    participant: str,
    *,
    id: str,
    image: int,
    task: str,
    kind: str,
    position: int,
) -> Round:
    """Give out a round."""
    given = Round(id, image, kind, position, None, None, None)
    db.execute(
        "INSERT INTO rounds (id, participant, image, task, kind, position, handed, guesses, checks)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, '[]', '{}')",
        (given.id, participant, image, task, kind, position, now()),
    )
    return given


def round_of(db: sqlite3.Connection, participant: str, round: str) -> sqlite3.Row | None:
    """A round of somebody's, with what it began with; None if it is not theirs."""
    found: sqlite3.Row | None = db.execute(
        "SELECT id, image, task, kind, handed, finished, score, guesses, checks FROM rounds"
        " WHERE id = ? AND participant = ?",
        (round, participant),
    ).fetchone()
    return found


def change(db: sqlite3.Connection, round: str, columns: Mapping[str, Any]) -> None:
    """Set columns of a round; lists and objects as JSON."""
    names = ", ".join(f"{name} = ?" for name in columns)  # names of ours, never a client's
    values = [
        json.dumps(value, separators=(",", ":")) if isinstance(value, (list, dict)) else value
        for value in columns.values()
    ]
    db.execute(f"UPDATE rounds SET {names} WHERE id = ?", (*values, round))


def plays(db: sqlite3.Connection) -> list[tuple[int, str, str | None, str | None, float]]:
    """Image, id, end, outcome, and for how many seconds it has been out, of every play."""
    rows = db.execute(
        "SELECT image, id, finished, outcome, 86400 * (julianday('now') - julianday(handed))"
        " FROM rounds WHERE kind = 'play'"
    )
    return [(image, id, finished, outcome, ago_s) for image, id, finished, outcome, ago_s in rows]


def totals(db: sqlite3.Connection) -> list[tuple[str, float]]:
    """Who has how many points, the most first; practice gives none."""
    return [
        (participant, points)
        for participant, points in db.execute(
            "SELECT participant, total(score) AS points FROM rounds WHERE kind != ?"
            " GROUP BY participant ORDER BY points DESC, participant",
            (PRACTICE,),
        )
    ]


def board(points: Sequence[tuple[str, float]], participant: str, *, places: int) -> list[Any]:
    """The first places of the board, and somebody's own place if it is below; no id is told."""
    ranked = [
        {"place": place, "score": round(score), "you": who == participant}
        for place, (who, score) in enumerate(points, 1)
    ]
    return [each for each in ranked if each["place"] <= places or each["you"]]
