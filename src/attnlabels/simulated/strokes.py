"""How a simulated player's hand goes over an image, for the game of `attnlabels collect`.

A player knows the object's mask M and the mask P of the part that tells its class (each made to sum
to 1). Every period or so the hand goes a step, at most half a bubble, towards a place to which it
wants to go, and from there to the next (STUDIES §F.2):

    painter     places drawn from an attention map of their own, (w P + (1 - w) M) exp(s Z), with Z
                a smooth field of normal values; it begins at a place drawn from the square of
                that map, a peak
    tracer      along the outline of the object, around and around
    colourist   colours in the whole object, row after row
    lazy        about the middle of the picture
    random      anywhere
    bot         in equal steps at equal times, row after row of the picture

But for the bot's, steps differ in length, in direction and in time.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from attnlabels.scenes.observers import draws, interests

Manner = Literal["painter", "tracer", "colourist", "lazy", "random", "bot"]
HONEST: tuple[Manner, ...] = ("painter", "tracer", "colourist")
LATE_MS = 16.7  # at most, after its time, that a step is: a frame
TURN_SD = 0.25  # radians, of a step's direction
SLOWEST = 0.4  # of the largest step
INTEREST_SD = 0.7  # s above
LAZY_SD = 0.03  # of the side
MOST_PASSED = 100  # places that are passed over as one is there already
ROW = 2  # steps between the rows of a bot and of who colours in


@dataclass(frozen=True, kw_only=True)
class Hand:
    """What a player is like."""

    manner: Manner
    part_share: float  # w above
    pace: float  # share of the largest step that a usual step is


class Known(NamedTuple):
    """What a player knows of an image: shares of a pixel, 0 to 1."""

    mask: Float[np.ndarray, "h w"]
    part: Float[np.ndarray, "h w"]


class Stroke(NamedTuple):
    """Where a hand was, (x, y) in pixels from 0, inside of the image, and when."""

    t: Float[np.ndarray, "n"]  # ms, from 0
    xy: Float[np.ndarray, "n 2"]


def stroke(
    rng: np.random.Generator,
    hand: Hand,
    known: Known,
    *,
    step: float,
    period_ms: float,
    seconds: float,
) -> Stroke:
    """A player's way over an image, for so long, as if nothing stopped them; `step` in pixels."""
    h, w = known.mask.shape
    wanted = TARGETS[hand.manner](rng, hand, known, step)
    n = int(1000 * seconds / period_ms) + 1
    exact = hand.manner == "bot"
    t = np.cumsum(np.full(n, period_ms) + (0.0 if exact else rng.uniform(0, LATE_MS, n)))
    t = np.concatenate([[0.0], t])
    t = t[t <= 1000 * seconds]
    paces = np.ones(n) if exact else hand.pace * rng.uniform(SLOWEST, 1, n)
    turns = np.zeros(n) if exact else rng.normal(0, TURN_SD, n)
    ends = np.nextafter((w, h), 0)
    at, target = next(wanted), next(wanted)
    places = [at]
    for pace, turn in zip(paces[: len(t) - 1], turns):
        for _ in range(MOST_PASSED):
            if np.hypot(*(target - at)) >= step / 2:
                break
            target = next(wanted)
        way = target - at
        far = step if exact else min(float(np.hypot(*way)), step * float(pace))
        angle = np.arctan2(way[1], way[0]) + turn
        at = (at + far * np.array([np.cos(angle), np.sin(angle)])).clip(0, ends)
        places.append(at)
    return Stroke(t, np.array(places).clip(0, ends))


Targets = Callable[[np.random.Generator, Hand, Known, float], Iterator[Float[np.ndarray, "2"]]]


def _painter(
    rng: np.random.Generator, hand: Hand, known: Known, step: float
) -> Iterator[Float[np.ndarray, "2"]]:
    attention = hand.part_share * known.part / known.part.sum()
    attention = attention + (1 - hand.part_share) * known.mask / known.mask.sum()
    (own,) = interests(rng, attention, n=1, sd=INTEREST_SD)
    yield draws(rng, own**2, n=1)[0, ::-1]
    while True:
        yield draws(rng, own, n=1)[0, ::-1]


def _tracer(
    rng: np.random.Generator, hand: Hand, known: Known, step: float
) -> Iterator[Float[np.ndarray, "2"]]:
    inside = (known.mask >= min(0.5, known.mask.max())).astype(np.uint8)
    outlines, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=len)[:, 0].astype(np.float64) + 0.5
    start = int(rng.integers(len(outline)))
    yield from itertools.cycle(np.roll(outline, -start, axis=0))


def _colourist(
    rng: np.random.Generator, hand: Hand, known: Known, step: float
) -> Iterator[Float[np.ndarray, "2"]]:
    rows, cols = np.nonzero(known.mask >= min(0.5, known.mask.max()))
    ways = []
    for number, row in enumerate(np.arange(rows.min(), rows.max() + 1, ROW * step)):
        own = cols[rows == int(row)]
        ends = (own.min(), own.max()) if len(own) else (cols.min(), cols.max())
        ways += [(x + 0.5, row + 0.5) for x in (ends if number % 2 == 0 else ends[::-1])]
    yield from itertools.cycle(np.array(ways + ways[::-1]))


def _lazy(
    rng: np.random.Generator, hand: Hand, known: Known, step: float
) -> Iterator[Float[np.ndarray, "2"]]:
    h, w = known.mask.shape
    while True:
        yield np.array([w, h]) / 2 + rng.normal(0, LAZY_SD * min(h, w) + step / 2, 2)


def _random(
    rng: np.random.Generator, hand: Hand, known: Known, step: float
) -> Iterator[Float[np.ndarray, "2"]]:
    h, w = known.mask.shape
    while True:
        yield rng.uniform(0, 1, 2) * (w, h)


def _bot(
    rng: np.random.Generator, hand: Hand, known: Known, step: float
) -> Iterator[Float[np.ndarray, "2"]]:
    h, w = known.mask.shape
    rows = np.arange(step / 2, h, ROW * step)
    ways = [(x, row) for i, row in enumerate(rows) for x in ((0, w) if i % 2 == 0 else (w, 0))]
    start = int(rng.integers(len(ways)))
    yield from itertools.cycle(np.roll(np.array(ways), -2 * (start // 2), axis=0))


TARGETS: dict[Manner, Targets] = {
    "painter": _painter,
    "tracer": _tracer,
    "colourist": _colourist,
    "lazy": _lazy,
    "random": _random,
    "bot": _bot,
}
