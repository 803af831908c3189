"""The settings of a study and its texts: typed files in the study's folder, written out in full.

The files beside this module are what a new study begins with, comments and all, and the only place
where a default stands.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attnlabels.pipeline.params import check, read, record

Task = Literal["paint", "peek", "look"]
SETTINGS, TEXTS, CONSENT = "study.yaml", "texts.yaml", "consent.md"
TEMPLATES = Path(__file__).parent
MOST_BUBBLES = 5000  # of a round
N_TOLD = 5  # of a partner's guesses

Positive = Annotated[float, Field(gt=0, le=1e4)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=100_000)]
Many = Annotated[int, Field(ge=1, le=100_000)]


@record
class Paint:
    seconds: Seconds
    bubble_px: Many
    period_ms: Annotated[float, Field(ge=10, le=1000)]
    patch_px: Many
    neutral: Annotated[int, Field(ge=0, le=255)]
    guess_every: Many
    top_k: Annotated[int, Field(ge=1, le=N_TOLD)]
    skip: bool

    @property
    def step_px(self) -> float:
        """How far two bubbles that follow each other may be apart."""
        return self.bubble_px / 2

    @property
    def most_bubbles(self) -> int:
        """Of a round: one at the first press and one each period."""
        return int(self.seconds * 1000 / self.period_ms) + 1


@record
class Peek:
    seconds: Seconds
    clicks: Many
    radius_px: Positive
    blur_px: Positive
    skip: bool


@record
class Look:
    seconds: Seconds
    radius_px: Positive
    blur_px: Positive
    skip: bool


@record
class Settings:
    """What study.yaml says; see the file beside this module for what each means."""

    task: Task
    rounds: Many
    practice: Count
    catch: list[str]
    catch_share: Share
    repeat_share: Share
    repeat_gap: Count
    open_minutes: Positive
    seed: Annotated[int, Field(ge=0)]
    least_shown_px: Many
    paint: Paint
    peek: Peek
    look: Look

    @property
    def played(self) -> Paint | Peek | Look:
        """The settings of the task that is played."""
        tasks: dict[Task, Paint | Peek | Look] = {
            "paint": self.paint,
            "peek": self.peek,
            "look": self.look,
        }
        return tasks[self.task]


def template(name: str) -> str:
    """What a new study's file of that name holds."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def read_settings(path: Path) -> Settings:
    """The settings; raises ValueError that names the key that is missing, unknown or wrong."""
    settings = check(Settings, read(path), where=str(path))
    if settings.catch_share + settings.repeat_share > 1:
        raise ValueError(f"{path}: catch_share and repeat_share are above 1 together; lower them")
    if settings.task == "paint" and settings.paint.most_bubbles > MOST_BUBBLES:
        raise ValueError(
            f"{path}: paint.seconds and paint.period_ms make {settings.paint.most_bubbles} bubbles "
            f"of a round, more than the {MOST_BUBBLES} that are kept; shorten it, or lengthen the "
            "period"
        )
    if bool(settings.catch) != bool(settings.catch_share):
        raise ValueError(
            f"{path}: catch and catch_share go together: images, and the share of rounds that show "
            "them; give both or neither"
        )
    return settings
