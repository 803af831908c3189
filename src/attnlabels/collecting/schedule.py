"""Who gets which image: those with the fewest plays first, catch images and repetitions between."""

import threading
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from attnlabels.collecting.settings import Settings
from attnlabels.collecting.store import Round

NEW = ("practice", "play")  # kinds of rounds of an image that was not seen before
MOST_DRAWS = 100  # of a plan in which each repetition has something to repeat

Plan = list[str]  # the kind of each of a participant's rounds


class Chosen(NamedTuple):
    """An image, and as which kind of round it is shown."""

    image: int
    kind: str


class Plays:
    """How often each image was played, or was handed out so lately that it may be being played.

    Kept in memory beside the database, from which it is counted when a server begins; threads may
    share it. A round that was skipped is no play. `clock` counts seconds and never goes back.
    """

    def __init__(
        self, n_images: int, *, open_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.finished: Int64[np.ndarray, " n"] = np.zeros(n_images, np.int64)
        self.handed: dict[str, tuple[int, float]] = {}
        self.open_s, self.clock, self.lock = open_s, clock, threading.Lock()

    def hand(self, round: str, image: int, *, ago_s: float = 0.0) -> None:
        """A round of the image was given out, now or so long ago."""
        with self.lock:
            self.handed[round] = image, self.clock() - ago_s

    def close(self, round: str, image: int, *, played: bool) -> None:
        """A round came to its end."""
        with self.lock:
            self.handed.pop(round, None)
            self.finished[image] += played

    def forget(self, round: str, image: int, *, played: bool) -> None:
        """A round was deleted."""
        with self.lock:
            self.handed.pop(round, None)
            self.finished[image] -= played

    def counts(self) -> Int64[np.ndarray, " n"]:
        """Plays of each image, those that may be going on among them."""
        since = self.clock() - self.open_s
        with self.lock:
            self.handed = {key: each for key, each in self.handed.items() if each[1] >= since}
            counts = self.finished.copy()
            for image, _ in self.handed.values():
                counts[image] += 1
        return counts


def is_play(outcome: str | None) -> bool:
    """Whether a round that ended so counts as a play of its image."""
    return outcome is not None and outcome != "skipped"


def generator_of(participant: str, *, seed: int, what: int) -> np.random.Generator:
    """A generator of a participant's own, the same each time."""
    digest = sha256(participant.encode()).digest()
    return np.random.default_rng([seed, what, *digest[:16]])


def plan_of(participant: str, settings: Settings) -> Plan:
    """The kinds of a participant's rounds, in their order, drawn for each anew.

    Drawn are the places of repetitions, which have `repeat_gap` others before them and at least
    one, and of catch images; they are drawn again where a repetition would have no play to repeat.
    If shares are so high that no plan comes of it, the last stands, and what cannot be repeated
    will be a play (`choose`).
    """
    rng = generator_of(participant, seed=settings.seed, what=0)
    for _ in range(MOST_DRAWS):
        kinds = _drawn_kinds(settings, rng)
        if _has_what_it_repeats(kinds, settings.repeat_gap):
            break
    return ["practice"] * settings.practice + kinds


def _drawn_kinds(settings: Settings, rng: np.random.Generator) -> list[str]:
    kinds = ["play"] * settings.rounds
    late = np.arange(settings.repeat_gap + 1, settings.rounds)
    n_repeats = min(round(settings.repeat_share * settings.rounds), len(late))
    for i in rng.choice(late, n_repeats, replace=False) if n_repeats else ():
        kinds[i] = "repeat"
    free = [i for i, kind in enumerate(kinds) if kind == "play"]
    n_catch = min(round(settings.catch_share * settings.rounds), len(free))
    for i in rng.choice(free, n_catch, replace=False) if n_catch else ():
        kinds[i] = "catch"
    return kinds


def _has_what_it_repeats(kinds: Sequence[str], gap: int) -> bool:
    """Whether each repetition has, `gap` rounds before, a play that no earlier one repeated."""
    repeats = (i for i, kind in enumerate(kinds) if kind == "repeat")
    return all(kinds[: i - gap].count("play") > n for n, i in enumerate(repeats))


def rounds_left(to_come: Sequence[str], *, unseen: int) -> int:
    """How many rounds of the kinds `to_come` there will be, if so many images are `unseen`.

    A participant's game ends where a new image is planned and none is left.
    """
    for i, kind in enumerate(to_come):
        if kind in NEW:
            if not unseen:
                return i
            unseen -= 1
    return len(to_come)


def choose(
    past: Sequence[Round],
    plan: Plan,
    *,
    plain: Sequence[int],
    catch: Sequence[int],
    counts: Int64[np.ndarray, " n"],
    gap: int,
    rng: np.random.Generator,
) -> Chosen | None:
    """The next image after a participant's rounds so far; None where there is none.

    `plain` are the images to play. No image comes twice but as a repetition, which is of a play
    that was not skipped and `gap` rounds ago; where there is nothing to repeat, or no catch image
    left, it is a play.
    """
    if len(past) >= len(plan):
        return None
    kind, had = plan[len(past)], {each.image for each in past}
    if kind == "repeat" and (images := _repeatable(past, gap)):
        return Chosen(_drawn(images, rng), kind)
    if kind == "catch" and (images := [each for each in catch if each not in had]):
        return Chosen(_drawn(images, rng), kind)
    images = [each for each in plain if each not in had]
    if not images:
        return None
    if kind == "practice":
        return Chosen(_drawn(images, rng), kind)
    least = counts[images].min()
    return Chosen(_drawn([image for image in images if counts[image] == least], rng), "play")


def _repeatable(past: Sequence[Round], gap: int) -> list[int]:
    repeated = {each.image for each in past if each.kind == "repeat"}
    before = past[: len(past) - gap] if gap else past
    return sorted(
        each.image
        for each in before
        if each.kind == "play" and is_play(each.outcome) and each.image not in repeated
    )


def _drawn(images: Sequence[int], rng: np.random.Generator) -> int:
    return images[int(rng.integers(len(images)))]
