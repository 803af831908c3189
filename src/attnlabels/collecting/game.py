"""The game's rules on the server: who agreed, who gets what, what a partner says, what is kept."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from attnlabels.collecting.folder import Study
from attnlabels.collecting.guessing import Guesser
from attnlabels.collecting.patches import reveal
from attnlabels.collecting.pictures import LEVELS, Kept, Pictures
from attnlabels.collecting.rounds import (
    Played,
    read_guessed,
    read_played,
    repaired,
    require_outcome,
    score_of,
)
from attnlabels.collecting.schedule import (
    Plays,
    choose,
    generator_of,
    is_play,
    plan_of,
    rounds_left,
)
from attnlabels.collecting.store import (
    Round,
    add_participant,
    board,
    change,
    hand,
    is_participant,
    now,
    plays,
    remove_participant,
    round_of,
    rounds_of,
    totals,
)
from attnlabels.serving.database import Database
from attnlabels.serving.joining import JoinCode, require_language
from attnlabels.serving.refusals import Refused
from attnlabels.serving.site import Action, Answer, Caller
from attnlabels.serving.texts import version_of

PLACES = 5  # of the board
ASKED_KEPT = 1000  # rounds whose last guess is remembered
UNKNOWN = "no such round of yours"


class Game:
    """What a study's pages ask for; its methods run in several threads."""

    def __init__(
        self,
        study: Study,
        database: Database,
        pictures: Pictures,
        *,
        guesser: Guesser | None,
        join: JoinCode,
        app: str,
        ids: Callable[[], str],
    ) -> None:
        self.study, self.database, self.pictures = study, database, pictures
        self.guesser, self.join, self.app, self.ids = guesser, join, app, ids
        self.version = version_of(study.consent)
        self.plain = [each.number for each in study.images if not each.catch]
        self.catch = [each.number for each in study.images if each.catch]
        self.asked = Kept(ASKED_KEPT)
        settings = study.settings
        self.plays = Plays(len(study.images), open_s=settings.open_minutes * 60)
        with database.transaction() as db:
            for image, round, finished, outcome, ago_s in plays(db):
                if finished is None:
                    self.plays.hand(round, image, ago_s=ago_s)
                else:
                    self.plays.close(round, image, played=is_play(outcome))

    @property
    def actions(self) -> dict[str, Action]:
        return {
            "consent": self.consent,
            "next": self.next,
            "guess": self.guess,
            "round": self.round,
            "delete": self.delete,
        }

    @property
    def has_points(self) -> bool:
        """Points are for the time that is left when a partner has recognised something."""
        return self.study.settings.task == "paint" and self.guesser is not None

    def start(self, caller: Caller) -> Mapping[str, Any]:
        """All that the page needs to begin with."""
        session = caller.session
        with self.database.transaction() as db:
            known = session is not None and is_participant(db, session)
        return {
            "task": self.study.settings.task,
            "practice": self.study.settings.practice,
            "partner": self.guesser is not None,
            "texts": self.study.texts,
            "consent": {"version": self.version, "text": self.study.consent},
            "join": self.join.asked,
            "participant": session if known else None,
        }

    def consent(self, caller: Caller, body: dict[str, Any]) -> Answer:
        """Somebody agrees to the text that is shown now; who did so before stays who they are."""
        if body.get("consent") != self.version:
            raise Refused(409, "the text to agree to has changed; load the page anew")
        language = require_language(body.get("language"))
        self.join.require(body.get("code"), address=caller.address)
        with self.database.transaction() as db:
            if caller.session is not None and is_participant(db, caller.session):
                return Answer({"participant": caller.session})
            participant = add_participant(
                db,
                id=self.ids(),
                consent=self.version,
                app=self.app,
                family=caller.browser,
                language=language,
            )
        return Answer({"participant": participant}, participant)

    def next(self, caller: Caller, body: dict[str, Any]) -> Answer:
        """The round that is still open, or else a new one; or that there is no more."""
        with self.database.transaction() as db:
            participant = self._participant(caller, db)
            past = rounds_of(db, participant)
            plan = plan_of(participant, self.study.settings)
            given = past[-1] if past and past[-1].finished is None else None
            if given is not None:
                self._hand_again(db, participant, given.id)
                past = past[:-1]
            else:
                given = self._hand(db, participant, past, plan)
            if given is not None and given.kind == "play":
                self.plays.hand(given.id, given.image)  # before somebody else's is chosen
            points = totals(db) if self.has_points else []
        score = dict(points).get(participant, 0.0)
        if given is None:
            places = board(points, participant, places=PLACES)
            return Answer({"over": True, "score": round(score), "board": places})
        return Answer(self._told(given, past, plan) | {"score": round(score)})

    def _hand(
        self, db: sqlite3.Connection, participant: str, past: list[Round], plan: list[str]
    ) -> Round | None:
        settings = self.study.settings
        chosen = choose(
            past,
            plan,
            plain=self.plain,
            catch=self.catch,
            counts=self.plays.counts(),
            gap=settings.repeat_gap,
            rng=generator_of(participant, seed=settings.seed, what=1 + len(past)),
        )
        if chosen is None:
            return None
        return hand(
            db,
            participant,
            id=self.ids(),
            image=chosen.image,
            task=settings.task,
            kind=chosen.kind,
            position=len(past),
        )

    def _hand_again(self, db: sqlite3.Connection, participant: str, round: str) -> None:
        row = round_of(db, participant, round)
        checks = json.loads(row["checks"]) if row else {}
        checks["handed_again"] = checks.get("handed_again", 0) + 1
        # the guesses were of an earlier try, and so is what the partner was shown
        change(db, round, {"checks": checks, "guesses": []})
        self.asked.drop(round)

    def _told(self, given: Round, past: list[Round], plan: list[str]) -> dict[str, Any]:
        image = self.study.images[given.image]
        unseen = len({*self.plain} - {each.image for each in past})
        played = self.study.settings.played
        return {
            "round": given.id,
            "image": given.image,
            "width": image.width,
            "height": image.height,
            "class": image.label,
            "task": self.study.settings.task,
            "kind": given.kind,
            "position": given.position,
            "left": rounds_left(plan[len(past) :], unseen=unseen),
            "settings": asdict(played)
            | {"least_shown_px": self.study.settings.least_shown_px, "levels": LEVELS},
        }

    def guess(self, caller: Caller, body: dict[str, Any]) -> Answer:
        """What the partner makes of the places that were painted so far.

        Raises Refused also where the round was handed out again meanwhile: what was painted before
        is of no later try.
        """
        settings = self.study.settings
        if settings.task != "paint" or self.guesser is None:
            raise Refused(409, "this study has no partner")
        guessed = read_guessed(body, settings.paint)
        with self.database.transaction() as db:
            row = self._open_round(db, caller, guessed.round)
        of_try = _try_of(row)
        image = self.study.images[row["image"]]
        shown = reveal(
            self.pictures.pixels(image),
            [(x, y) for _, x, y in guessed.bubbles],
            patch_px=settings.paint.patch_px,
            neutral=settings.paint.neutral,
        )
        top = self.guesser.guess(shown)
        t_ms = max(t for t, _, _ in guessed.bubbles)
        entry = {"t_ms": t_ms, "n": len(guessed.bubbles), "top": [list(each) for each in top]}
        with self.database.transaction() as db:
            row = self._open_round(db, caller, guessed.round)
            if _try_of(row) != of_try:
                raise Refused(409, "this round began anew meanwhile")
            change(db, guessed.round, {"guesses": [*json.loads(row["guesses"]), entry]})
            # within the transaction, or the round may be handed out again between the two
            self.asked.put(guessed.round, guessed.bubbles)
        return Answer({"top": entry["top"], "recognised": self._names(entry, image.label)})

    def round(self, caller: Caller, body: dict[str, Any]) -> Answer:
        """Keep a finished round; one that is kept already is answered as it was then."""
        played = read_played(body)
        require_outcome(played, self.study.settings)
        with self.database.transaction() as db:
            participant = self._participant(caller, db)
            row = round_of(db, participant, played.round)
            if row is None:
                raise Refused(404, UNKNOWN)
            if row["finished"] is not None:
                return Answer({"stored": True, "score": row["score"]})
            columns = self._columns(played, row)
            change(db, played.round, columns)
        if row["kind"] == "play":
            self.plays.close(row["id"], row["image"], played=is_play(columns["outcome"]))
        return Answer({"stored": True, "score": columns["score"]})

    def _columns(self, played: Played, row: sqlite3.Row) -> dict[str, Any]:
        """What is kept of a round: what the browser tells, checked, and what is not its to tell."""
        settings, image = self.study.settings, self.study.images[row["image"]]
        samples, odd = repaired(played, settings, size=(image.height, image.width))
        checks, outcome, score = json.loads(row["checks"]) | odd, played.outcome, None
        if settings.task == "paint":
            right = [each for each in json.loads(row["guesses"]) if self._names(each, image.label)]
            if outcome == "recognised" and not right:
                outcome, checks["unbelieved"] = "timeout", 1
            at = right[0]["t_ms"] if right else None
            score = score_of(outcome, at, settings.paint) if self.has_points else None
            checks |= self._compared(played)
        told = ("duration_ms", "pointer", "scale", "ratio", "shown_width", "shown_height")
        counted = ("frames", "late", "period_ms", "hidden")
        return {
            **{name: getattr(played, name) for name in (*told, *counted)},
            "finished": now(),
            "outcome": outcome,
            "score": score,
            "samples": samples,
            "checks": checks,
        }

    def _compared(self, played: Played) -> dict[str, int]:
        """Whether what the partner was shown last is how the bubbles of the round begin."""
        asked = self.asked.peek(played.round)
        bubbles = [tuple(each[:3]) for each in played.samples if each[3] == "bubble"]
        if asked is None or [*map(tuple, asked)] == bubbles[: len(asked)]:
            return {}
        return {"guessed_elsewhere": 1}

    def delete(self, caller: Caller, body: dict[str, Any]) -> Answer:
        """Delete all that is kept of who asks; their session ends."""
        with self.database.transaction() as db:
            participant = self._participant(caller, db)
            past = rounds_of(db, participant)
            remove_participant(db, participant)
        for each in past:
            if each.kind == "play":
                played = each.finished is not None and is_play(each.outcome)
                self.plays.forget(each.id, each.image, played=played)
        return Answer({"deleted": True}, "")

    def _participant(self, caller: Caller, db: sqlite3.Connection) -> str:
        participant = caller.require()
        if not is_participant(db, participant):
            raise Refused(401, "nothing is kept of you here; load the page anew")
        return participant

    def _open_round(self, db: sqlite3.Connection, caller: Caller, round: str) -> sqlite3.Row:
        row = round_of(db, self._participant(caller, db), round)
        if row is None:
            raise Refused(404, UNKNOWN)
        if row["finished"] is not None:
            raise Refused(409, "this round is over")
        return row

    def _names(self, guess: Mapping[str, Any], label: str) -> bool:
        top = guess["top"][: self.study.settings.paint.top_k]
        return label in [name for name, _ in top]


def _try_of(row: sqlite3.Row) -> int:
    """The number of the try that a round is in, from 0: how often it was handed out again."""
    return int(json.loads(row["checks"]).get("handed_again", 0))
