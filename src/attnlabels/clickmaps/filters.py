"""Which submissions count: the filters of ClickMe 2.0's pipeline, each counted (STUDIES §A.3).

In this order: players who failed the catch trials; telephones; a second submission of an image by
a player; submissions of too few clicks; of too many, which are cut or left out; submissions that
colour in the object; images that are left with too few players. The pipeline counts players before
it looks at objects; here last, as an image could else end with fewer than were asked for.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field

from attnlabels.clickmaps.blurring import bubbled
from attnlabels.clickmaps.submissions import Submission

Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[int, Field(ge=1)]
Value = TypeVar("Value", float, bool)


@dataclass(frozen=True, kw_only=True)
class ColouringIn:
    """A player who uncovered the object and little else is left out."""

    objects: str  # folder of masks, <class>/<stem>.png
    iou: Share  # of what was uncovered and the object, above which it is colouring in


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is asked of submissions; null asks nothing."""

    catch_trial: Share | None  # least score of a player
    mobile: Literal["keep", "drop"]
    first_only: bool  # of a player's submissions of an image
    min_clicks: Number | None
    max_clicks: Number | None
    beyond: Literal["trim", "exclude"]  # what becomes of a submission of more than max_clicks
    colouring_in: ColouringIn | None
    min_players: Number  # of an image

    @property
    def least(self) -> int:
        """Clicks of a submission; one without any says nothing, whatever is asked."""
        return self.min_clicks or 1


def of_players(
    submissions: Iterable[Submission], filters: Filters, counts: Counter[str]
) -> Iterator[Submission]:
    """The submissions that pass the filters that look at one submission; `counts` counts the rest.

    Raises ValueError where a filter asks for what the file does not tell.
    """
    seen: set[tuple[str, str]] = set()
    for each in submissions:
        why = _fault(each, filters, seen)
        if why:
            counts[why] += 1
            continue
        if filters.max_clicks is not None and len(each.clicks) > filters.max_clicks:
            counts["trimmed"] += 1
            each = each._replace(clicks=each.clicks[: filters.max_clicks])
        yield each


def _fault(each: Submission, filters: Filters, seen: set[tuple[str, str]]) -> str:
    """By which filter a submission is left out; empty if it stays."""
    most = filters.max_clicks
    if filters.catch_trial is not None:
        score = _told(each.catch_trial, "user_catch_trial", "catch_trial: null", each)
        if score < filters.catch_trial:
            return "catch_trial"
    if filters.mobile == "drop" and _told(each.is_mobile, "is_mobile", "mobile: keep", each):
        return "mobile"
    if filters.first_only:
        if (each.image, each.player) in seen:
            return "repeated"
        seen.add((each.image, each.player))
    if len(each.clicks) < filters.least:
        return "few_clicks"
    if filters.beyond == "exclude" and most is not None and len(each.clicks) > most:
        return "many_clicks"
    return ""


def _told(value: Value | None, column: str, cure: str, each: Submission) -> Value:
    if value is None:
        raise ValueError(f"{each.where}: {column} is not told; add that column, or set {cure}")
    return value


def of_images(
    submissions: Iterable[tuple[Int[np.ndarray, "_ 2"], int]],
    filters: Filters,
    counts: Counter[str],
    *,
    read_object: Callable[[], Bool[np.ndarray, "h w"]],
) -> list[tuple[Int[np.ndarray, "_ 2"], int]]:
    """The submissions of one image, (row, col) and player, that pass the rest; maybe none."""
    kept = list(submissions)
    if filters.colouring_in is not None and kept:
        object = read_object()
        honest = [each for each in kept if _iou(each[0], object) <= filters.colouring_in.iou]
        counts["colouring_in"] += len(kept) - len(honest)
        kept = honest
    if kept and len({player for _, player in kept}) < filters.min_players:
        counts["few_players"] += len(kept)
        counts["few_players_images"] += 1
        return []
    return kept


def _iou(points: Int[np.ndarray, "n 2"], object: Bool[np.ndarray, "h w"]) -> float:
    seen = bubbled(points, size=object.shape)
    return float((seen & object).sum() / max(1, (seen | object).sum()))
