"""What a page tells of the times at which a stimulus was shown, and what is made of it.

All times are milliseconds since the page was opened, of the stamps that the browser gives its
frames: a picture drawn at a stamp is on the screen from that frame on.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from attnlabels.pipeline.params import record
from attnlabels.sessions.settings import Settings

Stamp = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]
Outcome = Literal["answered", "too_slow", "interrupted"]


@record
class Shown:
    """A trial as a page tells of it; `trial_index` and `time_elapsed` are jsPsych's."""

    id: Annotated[str, Field(max_length=64)]
    outcome: Outcome  # interrupted: the page was left within the trial
    key: Annotated[str, Field(max_length=1)] | None = None
    rt_ms: Stamp | None = None  # from the onset
    started_ms: Stamp | None = None  # of the fixation
    onset_ms: Stamp | None = None
    offset_ms: Stamp | None = None
    period_ms: Annotated[float, Field(gt=0, le=1000)] | None = None  # of frames, median
    frames: Count | None = None  # for which the stimulus was shown
    slow_frames: Count | None = None  # of the trial, longer than 1.5 periods
    hidden: Count = 0  # how often the page was hidden within the trial
    left_fullscreen: Count = 0
    fullscreen: bool = False  # at the onset
    ratio: Annotated[float, Field(gt=0, le=100)] | None = None  # devicePixelRatio
    width: Stamp | None = None  # of the picture, CSS px
    height: Stamp | None = None
    trial_index: Count | None = None
    time_elapsed: Stamp | None = None


TIMES = ("started_ms", "onset_ms", "offset_ms", "period_ms", "frames", "slow_frames")


def require_sense(shown: Shown, *, limit_ms: float) -> None:
    """Raise ValueError for a trial that cannot have been: it says of which, and what is wrong."""
    answered, interrupted = shown.outcome == "answered", shown.outcome == "interrupted"
    times = (shown.started_ms, shown.onset_ms, shown.offset_ms)
    known = [time for time in times if time is not None]
    faults = {
        "times are missing": not interrupted and any(getattr(shown, key) is None for key in TIMES),
        "times do not follow one another": known != sorted({*known}),
        "key and time of an answer": answered != (shown.key is not None)
        or answered != (shown.rt_ms is not None),
        f"an answer after {limit_ms:g} ms": (shown.rt_ms or 0) > limit_ms,
    }
    if wrong := next((why for why, found in faults.items() if found), None):
        raise ValueError(f"trial {shown.id}, {shown.outcome}: {wrong}")


def frames_of(duration_ms: float, period_ms: float) -> int:
    """The number of frames that comes nearest to a duration, at least one.

    The page closes at the first stamp that is half a frame or less before its end.
    """
    return max(1, math.ceil(duration_ms / period_ms - 0.5 - 1e-9))


def planned_ms(
    shown: Shown, *, fixation_ms: float, stimulus_ms: float
) -> tuple[float | None, float | None]:
    """When onset and offset were to be: whole frames after the start, and after the onset."""
    if shown.started_ms is None or shown.onset_ms is None or shown.period_ms is None:
        return None, None
    onset = shown.started_ms + frames_of(fixation_ms, shown.period_ms) * shown.period_ms
    offset = shown.onset_ms + frames_of(stimulus_ms, shown.period_ms) * shown.period_ms
    return onset, offset


def mark_of(shown: Shown, *, fixation_ms: float, settings: Settings) -> str:
    """Why a trial cannot be trusted; empty if it can.

    `interrupted`: the page was left; `hidden`: it was not seen for a time; `late`: onset or offset
    came more frames beside its plan than the settings allow.
    """
    if shown.outcome == "interrupted":
        return "interrupted"
    if shown.hidden:
        return "hidden"
    planned = planned_ms(shown, fixation_ms=fixation_ms, stimulus_ms=settings.stimulus_ms)
    beside = [
        abs(achieved - plan) / shown.period_ms
        for plan, achieved in zip(planned, (shown.onset_ms, shown.offset_ms))
        if plan is not None and achieved is not None and shown.period_ms
    ]
    # a stamp is not to the last digit: half a frame is no frame
    return "late" if any(frames > settings.late_frames + 0.5 for frames in beside) else ""
