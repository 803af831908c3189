"""What a browser sends of a round, checked: refused, repaired and counted, or as it is."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from attnlabels.collecting.settings import MOST_BUBBLES, Paint, Settings
from attnlabels.pipeline.params import check, record
from attnlabels.serving.refusals import Refused

# With 15,000 moves, no more of which a page keeps (record.js): ten times what a mouse of 125 Hz
# sends in the longest usual round.
MOST_SAMPLES = MOST_BUBBLES + 15_000
DAY_MS = 86_400_000.0
LATE_MS = 1000.0  # by which a round may end after its time: frames, and a guess that was waited for
WITHIN = ("bubble", "click")  # events that are places in the image
SLACK_PX, SLACK_MS = 0.05, 1.0  # of numbers that were rounded on their way
OUTCOMES = {
    "paint": ("recognised", "timeout", "skipped"),
    "peek": ("done", "skipped"),
    "look": ("done", "skipped"),
}

Finite = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=DAY_MS)]
NotNegative = Annotated[float, Field(ge=0, le=DAY_MS)]
Positive = Annotated[float, Field(gt=0, le=1e5)]
Count = Annotated[int, Field(ge=0, le=10**7)]
Event = Literal["down", "move", "up", "bubble", "click"]
Sample = tuple[NotNegative, Finite, Finite, Event]
Bubble = tuple[NotNegative, Finite, Finite]


@record
class Played:
    """A finished round as the browser tells it."""

    round: str
    outcome: Literal["recognised", "timeout", "skipped", "done"]
    duration_ms: NotNegative
    pointer: Literal["mouse", "touch", "pen"] | None  # None: never pressed
    scale: Positive  # CSS pixels an image pixel
    ratio: Positive  # of the display: device pixels a CSS pixel
    shown_width: Positive  # CSS pixels
    shown_height: Positive
    frames: Count
    late: Count  # frames of more than 1.5 periods
    period_ms: NotNegative  # median time between frames
    hidden: Count  # times that the page was hidden
    samples: Annotated[list[Sample], Field(max_length=MOST_SAMPLES)]


@record
class Guessed:
    """What the browser asks the partner about."""

    round: str
    bubbles: Annotated[list[Bubble], Field(min_length=1, max_length=MOST_SAMPLES)]


def read_played(body: dict[str, Any]) -> Played:
    """Raises Refused that names what is missing, unknown, mistyped or too much."""
    try:
        return check(Played, body, where="round")
    except ValueError as error:
        raise Refused(400, _short(error)) from error


def read_guessed(body: dict[str, Any], settings: Paint) -> Guessed:
    """Raises Refused as `read_played`, and for more bubbles than a round has time for."""
    try:
        guessed = check(Guessed, body, where="guess")
    except ValueError as error:
        raise Refused(400, _short(error)) from error
    if len(guessed.bubbles) > settings.most_bubbles:
        raise Refused(
            400, f"{len(guessed.bubbles)} bubbles; a round has {settings.most_bubbles} at most"
        )
    return guessed


def _short(error: ValueError) -> str:
    return str(error)[:500]


def repaired(
    played: Played, settings: Settings, *, size: tuple[int, int]
) -> tuple[list[list[Any]], dict[str, int]]:
    """The samples as they are stored, and how much of what was odd; `size` is (height, width).

    Repaired: samples out of order in time are sorted, places outside the image brought to its edge.
    Counted only: bubbles further apart or sooner after one another than the game lets them be, more
    clicks than there are, an end after the time.
    """
    height, width = size
    times = [sample[0] for sample in played.samples]
    unsorted = sum(one > other for one, other in itertools.pairwise(times))
    outside, rows = 0, list[list[Any]]()
    for t, x, y, event in sorted(played.samples, key=lambda sample: sample[0]):
        if event in WITHIN:
            inside = min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))
            outside += inside != (x, y)
            x, y = inside
        rows.append([round(t, 1), round(x, 2), round(y, 2), event])
    odd = {"unsorted": unsorted, "outside": outside}
    late = played.duration_ms - settings.played.seconds * 1000
    odd["late_end"] = int(late > LATE_MS)
    if isinstance(settings.played, Paint):
        odd |= _oddities([row for row in rows if row[3] == "bubble"], settings.played)
    elif settings.task == "peek":
        clicks = sum(row[3] == "click" for row in rows)
        odd["clicks_beyond"] = max(0, clicks - settings.peek.clicks)
    return rows, {what: count for what, count in odd.items() if count}


def _oddities(bubbles: Sequence[Sequence[Any]], paint: Paint) -> dict[str, int]:
    far = dense = 0
    for (t, x, y, _), (then, a, b, _) in itertools.pairwise(bubbles):
        far += math.hypot(a - x, b - y) > paint.step_px + SLACK_PX
        dense += then - t < paint.period_ms - SLACK_MS
    return {
        "far": far,
        "dense": dense,
        "bubbles_beyond": max(0, len(bubbles) - paint.most_bubbles),
    }


def require_outcome(played: Played, settings: Settings) -> None:
    """Raise Refused for an outcome that the task does not have, or may not have here."""
    if played.outcome not in OUTCOMES[settings.task]:
        expected = ", ".join(OUTCOMES[settings.task])
        raise Refused(400, f"outcome {played.outcome} of a round of {settings.task}; {expected}")
    if played.outcome == "skipped" and not settings.played.skip:
        raise Refused(400, "this study has no skipping")


def score_of(outcome: str, recognised_ms: float | None, paint: Paint) -> float:
    """Points of a round of painting: the share of time left when it was recognised, in percent."""
    if outcome != "recognised" or recognised_ms is None:
        return 0.0
    return 100 * max(0.0, 1 - recognised_ms / (paint.seconds * 1000))
