"""What participants did: SQLite, so that nothing that was answered "stored" is lost by a kill.

A participant's trials are all there from the beginning, as they are to be shown; what is shown is
filled in once, in one transaction. Times are UTC, ISO-8601.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

from attnlabels.serving.database import Database
from attnlabels.serving.refusals import Refused
from attnlabels.sessions.assignment import keys_after, next_set, next_turn, planned_trials
from attnlabels.sessions.made import Made
from attnlabels.sessions.settings import Settings, keys_for
from attnlabels.sessions.timing import Shown, mark_of, planned_ms, require_sense

DATABASE = "results.sqlite"
VERSION = 1
SCHEMA = """
CREATE TABLE began(experiment TEXT NOT NULL, settings TEXT NOT NULL);
CREATE TABLE participants(
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    "set" INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    keys TEXT NOT NULL,
    handedness TEXT,
    started TEXT NOT NULL,
    seen TEXT NOT NULL,
    finished TEXT,
    consent TEXT NOT NULL,
    app TEXT NOT NULL,
    family TEXT NOT NULL,
    language TEXT NOT NULL
);
CREATE TABLE trials(
    id TEXT PRIMARY KEY,
    participant TEXT NOT NULL REFERENCES participants(id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    block INTEGER NOT NULL,
    position INTEGER NOT NULL,
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    map_type TEXT NOT NULL,
    share REAL NOT NULL,
    stimulus TEXT NOT NULL,
    fixation_ms REAL NOT NULL,
    stored TEXT,
    outcome TEXT,
    key TEXT,
    response TEXT,
    rt_ms REAL,
    mark TEXT,
    started_ms REAL,
    planned_onset_ms REAL,
    onset_ms REAL,
    planned_offset_ms REAL,
    offset_ms REAL,
    period_ms REAL,
    frames INTEGER,
    slow_frames INTEGER,
    hidden INTEGER,
    left_fullscreen INTEGER,
    fullscreen INTEGER,
    ratio REAL,
    width REAL,
    height REAL,
    trial_index INTEGER,
    time_elapsed REAL
);
CREATE INDEX of_participant ON trials(participant, position)
"""
PLANNED = ("kind", "block", "position", "image", "class", "map_type", "share", "stimulus")
HANDS = ("left", "right", "both", "unsaid")


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


class Store:
    """The results of one experiment; a method is a transaction. `clock` tells the time of day."""

    def __init__(
        self,
        folder: Path,
        made: Made,
        settings: Settings,
        *,
        app: str,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        """Open the results in `folder`, or make them.

        Raises ValueError where they began with another experiment, or with settings that were
        changed since.
        """
        self.made, self.settings, self.app, self.clock = made, settings, app, clock
        self.keys = keys_for(settings, len(made.classes))
        self.numbers = {path: number for number, path in enumerate(made.pictures)}
        self.database = Database(folder / DATABASE, schema=SCHEMA, version=VERSION)
        try:
            self._require_same(folder)
        except BaseException:
            self.database.close()
            raise

    def _require_same(self, folder: Path) -> None:
        now = {"experiment": self.made.digest, "settings": json.dumps(asdict(self.settings))}
        with self.database.transaction() as db:
            began = db.execute("SELECT experiment, settings FROM began").fetchone()
            if began is None:
                db.execute("INSERT INTO began VALUES (:experiment, :settings)", now)
                return
        if began["experiment"] != now["experiment"]:
            raise ValueError(
                f"{self.made.folder}: not the stimuli that {folder} began with; name these, or "
                "another folder of results"
            )
        then, given = json.loads(began["settings"]), json.loads(now["settings"])
        if changed := [key for key in given if then.get(key) != given[key]]:
            told = "; ".join(f"{key} is {given[key]!r}, began {then.get(key)!r}" for key in changed)
            raise ValueError(
                f"{folder}: settings changed since its first start: {told}; change them back, or "
                "name another folder of results"
            )

    def enrol(self, *, consent: str, family: str, language: str) -> str:
        """A new participant, with the set and the keys that fewest had; returns the id."""
        who, now = secrets.token_hex(8), self.clock()
        with self.database.transaction() as db:
            (number,) = db.execute(
                "SELECT coalesce(max(number), -1) + 1 FROM participants"
            ).fetchone()
            rng = np.random.default_rng([self.settings.seed, number, 3])
            chosen, turn = self._least_used(db, now, rng)
            keys = keys_after(turn, self.made.classes, self.keys)
            row = (who, number, chosen, turn, json.dumps(keys), None, *[_text(now)] * 2, None)
            db.execute(
                f"INSERT INTO participants VALUES ({_marks(13)})",
                (*row, consent, self.app, family, language),
            )
            planned = self._plan(chosen, number)
            db.executemany(
                f"INSERT INTO trials(id, participant, {', '.join(PLANNED)}, fixation_ms) "
                f"VALUES ({_marks(len(PLANNED) + 3)})",
                [(secrets.token_hex(8), who, *row) for row in planned],
            )
        return who

    def _least_used(
        self, db: sqlite3.Connection, now: datetime, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Set and turn of the keys; who left before the end and is away for long does not count."""
        left = _text(now - timedelta(minutes=self.settings.return_minutes))
        found = db.execute(
            'SELECT "set", turn FROM participants WHERE finished IS NOT NULL OR seen > ?', (left,)
        ).fetchall()
        groups = self.made.groups
        uses = np.bincount(np.array([row[0] for row in found], int), minlength=len(groups))
        chosen = next_set(uses.tolist(), groups, rng=rng)
        turns = [row[1] for row in found if groups[row[0]] == groups[chosen]]
        turn = next_turn(turns, len(self.made.classes), rng=rng)
        return chosen, turn if self.settings.keys_go_round else 0

    def _plan(self, chosen: int, number: int) -> list[list[Any]]:
        stimuli, settings = self.made.stimuli, self.settings
        trials = planned_trials(
            stimuli[stimuli["set"] == chosen],
            self.made.practice,
            fixation_ms=settings.fixation_ms,
            n_practice=settings.practice,
            block=settings.block,
            seed=settings.seed,
            participant=number,
        )
        return trials[[*PLANNED, "fixation_ms"]].to_numpy(object).tolist()

    def session(self, who: str) -> dict[str, Any]:
        """Keys, handedness and the trials that are left, as the participant's page needs them.

        Raises Refused (401) for a participant that there is not.
        """
        with self.database.transaction() as db:
            person = _person(db, who)
            trials = db.execute(
                "SELECT id, kind, block, position, class, stimulus, fixation_ms FROM trials "
                "WHERE participant = ? AND stored IS NULL ORDER BY position",
                (who,),
            ).fetchall()
            over = db.execute(
                "SELECT block, response = class AS correct, outcome = 'answered' AS answered, "
                "rt_ms FROM trials WHERE participant = ? AND stored IS NOT NULL AND kind = 'trial'",
                (who,),
            ).fetchall()
        rows = [dict(row) for row in trials]
        for row in rows:
            row["picture"] = self.numbers[row.pop("stimulus")]
        images = self.made.stimuli["image"].nunique()
        return {
            "participant": who,
            "keys": json.loads(person["keys"]),
            "handedness": person["handedness"],
            "trials": rows,
            "over": [dict(row) for row in over],
            "images": images,
            "blocks": -(-images // self.settings.block),
        }

    def has(self, who: str) -> bool:
        """Whether there is such a participant, whose data may have been removed."""
        with self.database.transaction() as db:
            found = db.execute("SELECT 1 FROM participants WHERE id = ?", (who,)).fetchone()
        return found is not None

    def say_handedness(self, who: str, hand: str) -> None:
        """Raises Refused for a participant, or an answer, that there is not."""
        if hand not in HANDS:
            raise Refused(400, f"handedness: expected one of {', '.join(HANDS)}")
        with self.database.transaction() as db:
            _person(db, who)
            db.execute("UPDATE participants SET handedness = ? WHERE id = ?", (hand, who))

    def keep(self, who: str, shown: Shown) -> None:
        """Store a trial that was shown; one that was stored before stays as it is.

        Raises Refused for a trial that is not the participant's, and for one that cannot have been
        so.
        """
        now = _text(self.clock())
        with self.database.transaction() as db:
            keys = {key: name for name, key in json.loads(_person(db, who)["keys"]).items()}
            planned = db.execute(
                "SELECT stored, fixation_ms FROM trials WHERE id = ? AND participant = ?",
                (shown.id, who),
            ).fetchone()
            if planned is None:
                raise Refused(404, "no such trial of this participant")
            if planned["stored"] is None:
                self._fill(db, shown, planned["fixation_ms"], keys, now)
            db.execute("UPDATE participants SET seen = ? WHERE id = ?", (now, who))
            db.execute(
                "UPDATE participants SET finished = ? WHERE id = ? AND finished IS NULL AND NOT "
                "EXISTS (SELECT 1 FROM trials WHERE participant = ? AND stored IS NULL "
                "AND kind = 'trial')",
                (now, who, who),
            )

    def _fill(
        self,
        db: sqlite3.Connection,
        shown: Shown,
        fixation_ms: float,
        keys: dict[str, str],
        now: str,
    ) -> None:
        if shown.key is not None and shown.key not in keys:
            raise Refused(400, f"trial {shown.id}: {shown.key!r} is no key of this participant")
        try:
            require_sense(shown, limit_ms=self.settings.limit_ms)
        except ValueError as error:
            raise Refused(400, str(error)) from None
        plan = planned_ms(shown, fixation_ms=fixation_ms, stimulus_ms=self.settings.stimulus_ms)
        row = asdict(shown) | {
            "stored": now,
            "response": keys[shown.key] if shown.key else None,
            "mark": mark_of(shown, fixation_ms=fixation_ms, settings=self.settings),
            "planned_onset_ms": plan[0],
            "planned_offset_ms": plan[1],
        }
        row = {key: round(x, 3) if isinstance(x, float) else x for key, x in row.items()}
        told = ", ".join(f"{key} = :{key}" for key in row if key != "id")
        db.execute(f"UPDATE trials SET {told} WHERE id = :id", row)

    def delete(self, who: str) -> None:
        """All that is known of a participant is gone, and the set goes to the next."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM participants WHERE id = ?", (who,))

    def counts(self) -> tuple[int, int]:
        """How many participants there are, and how many of them have finished."""
        with self.database.transaction() as db:
            found = db.execute("SELECT count(*), count(finished) FROM participants").fetchone()
        return int(found[0]), int(found[1])


def _person(db: sqlite3.Connection, who: str) -> sqlite3.Row:
    person = db.execute("SELECT * FROM participants WHERE id = ?", (who,)).fetchone()
    if person is None:
        raise Refused(401, "no such participant; load the page anew")
    return person


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
