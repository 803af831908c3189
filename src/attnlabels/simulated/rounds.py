"""A round of `attnlabels collect` as a simulated player plays it: what a browser would send."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from attnlabels.simulated.strokes import Hand, Known, Stroke, stroke

Bubble = tuple[float, float, float]  # t in ms, x, y
Guess = Callable[[Sequence[Bubble]], bool]  # whether the partner names the class of what it sees
CLICK_EVERY = 10  # steps of the hand, when each click uncovers
DELAY_MS = 16.0  # at most, from the pointer's sample to the bubble


@dataclass(frozen=True, kw_only=True)
class Game:
    """What a study says of a round; lengths in pixels of the image."""

    task: Literal["paint", "peek", "look"] = "paint"
    seconds: float = 7.0
    step: float = 7.0  # half a bubble
    period_ms: float = 50.0
    guess_every: int = 10  # bubbles
    clicks: int = 30  # of peeking, at most


def play(
    rng: np.random.Generator, hand: Hand, known: Known, game: Game, *, guess: Guess | None
) -> dict[str, Any]:
    """The fields of a finished round, as the client sends them.

    A painter who is asked to `guess` stops as soon as the partner knows; without, they paint until
    the time is over, whatever it would say.
    """
    asked = {"step": game.step, "period_ms": game.period_ms, "seconds": game.seconds}
    way, task, end = stroke(rng, hand, known, **asked), game.task, 1000 * game.seconds
    exact = hand.manner == "bot"
    if task == "paint":
        n, known_at = _ask(way, guess, every=game.guess_every)
        outcome = "timeout" if known_at is None else "recognised"
        duration = end if known_at is None else known_at
        samples = _painted(way, n, np.zeros(n) if exact else rng.uniform(0, DELAY_MS, n))
    else:
        outcome, duration = "done", end
        some = _bubbles(way)[::CLICK_EVERY][: game.clicks] if task == "peek" else _bubbles(way)
        samples = [[*each, "click" if task == "peek" else "move"] for each in some]
    h, w = known.mask.shape
    return {
        "outcome": outcome,
        "duration_ms": duration,
        "pointer": "mouse",
        "scale": 1.0,
        "ratio": 1.0,
        "shown_width": float(w),
        "shown_height": float(h),
        "frames": round(duration * 60 / 1000),
        "late": 0,
        "period_ms": 16.7,
        "hidden": 0,
        "samples": samples,
    }


def _ask(way: Stroke, guess: Guess | None, *, every: int) -> tuple[int, float | None]:
    """How many bubbles are painted, and when the partner knew."""
    bubbles = _bubbles(way)
    for n in range(every, len(bubbles) + 1, every) if guess else ():
        if guess is not None and guess(bubbles[:n]):
            return n, bubbles[n - 1][0]
    return len(bubbles), None


def _bubbles(way: Stroke) -> list[Bubble]:
    t, xy = way.t.round(1).tolist(), way.xy.round(2).tolist()
    return [(at, x, y) for at, (x, y) in zip(t, xy)]


def _painted(way: Stroke, n: int, delays: np.ndarray) -> list[list[Any]]:
    """The pointer's samples, each a little before the bubble that it leaves."""
    samples: list[list[Any]] = []
    for number, ((t, x, y), delay) in enumerate(zip(_bubbles(way)[:n], delays.tolist())):
        pointer = "move" if number else "down"
        samples += [[round(max(0.0, t - delay), 1), x, y, pointer], [t, x, y, "bubble"]]
    t, x, y, _ = samples[-1]
    return [*samples, [t, x, y, "up"]]
