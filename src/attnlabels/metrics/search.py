"""The best of a grid of values, and of those beyond it where the best is at its end."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

BEYOND = 2  # values tried at a time past an end: the score of a single one may be noise

Number: TypeAlias = int | float
Score: TypeAlias = Callable[[Sequence[Number]], Iterable[tuple[Number, float]]]


class CannotTry(ValueError):
    """A value at which there is no score."""


class Best(NamedTuple):
    """What a search chose; `why_ended` unless a value beyond it was tried on either side."""

    value: Number
    score: float
    why_ended: str | None


def search(
    grid: Sequence[Number], score: Score, *, least: Number, most: Number, whole: bool = False
) -> Best:
    """The value of the largest score; of equal ones, that tried first.

    `score` gives a pair of each value and its score, in turn; a ValueError of one in `grid` is
    raised. Where the best is the least or the largest tried, the search goes on in the grid's own
    ratio until that is no longer so, a `CannotTry` ends it, or `least` or `most` is reached. A grid
    of one value is taken as it is. `whole` numbers are rounded.
    """
    scores = dict(score(grid))
    ended: dict[bool, str] = {}  # why there is no more, by whether it is above
    while True:
        best = max(scores, key=scores.__getitem__)
        above = best == max(scores)
        if len(scores) == 1 or min(scores) < best < max(scores):
            return Best(best, scores[best], None)
        if above in ended:
            return Best(best, scores[best], ended[above])
        limit = most if above else least
        more = _beyond(sorted(scores), above=above, limit=limit, whole=whole)
        if not more or limit in more:  # none where the grid itself reaches it, or goes beyond
            ended[above] = f"the search ends at {limit:g}"
        try:
            for value, found in score(more) if more else ():
                scores[value] = found
        except CannotTry as error:
            ended[above] = str(error)


def _beyond(tried: Sequence[Number], *, above: bool, limit: Number, whole: bool) -> list[Number]:
    """The next values past an end of the ascending ones, as far as the limit."""
    end, next_to_it = (tried[-1], tried[-2]) if above else (tried[0], tried[1])
    steps = [end * (end / next_to_it) ** step for step in range(1, BEYOND + 1)]
    within = [min(each, limit) if above else max(each, limit) for each in steps]
    different = dict.fromkeys(round(each) if whole else each for each in within)
    return [each for each in different if (each > end if above else each < end)]
