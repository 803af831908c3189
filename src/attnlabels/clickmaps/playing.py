"""What tells how well somebody plays a game of pointing, each of arrays alone (STUDIES §B.10).

Maps are of one player in one round each, blurred alike and of one size; places are (x, y) in
pixels, times milliseconds. What cannot be told, of too few rounds or places, is None.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from attnlabels.metrics.ranks import rank, spearman

Map = Float[np.ndarray, "h w"]
WINDOW = 8  # steps over which a way is straight or not
FEWEST_STEPS = 5  # of which a spread is told


def consistency(pairs: Sequence[tuple[Map, Map]]) -> float | None:
    """A player's agreement with themselves: mean Spearman of maps of an image played twice."""
    return mean([spearman(first, again) for first, again in pairs])


def agreement(own: Sequence[Map], others: Sequence[Map]) -> float | None:
    """Mean Spearman of a player's maps with the mean map of all others on the same image.

    With the others' maps of other images it is the null.
    """
    return mean([spearman(mine, theirs) for mine, theirs in zip(own, others, strict=True)])


def centredness(own: Sequence[Map], prior: Map) -> float | None:
    """Mean Spearman of a player's maps with that of whoever points at the middle of any image."""
    return mean([spearman(each, prior) for each in own])


def time_variation(times: Sequence[Float[np.ndarray, "_"]]) -> float | None:
    """How much the times between two samples vary, median over rounds; see `length_variation`.

    A program's do not; but nor may a hand's, where a browser tells of the pointer once a frame.
    """
    return _variation([np.diff(each) for each in times])


def length_variation(ways: Sequence[Float[np.ndarray, "_ 2"]]) -> float | None:
    """How much the steps from sample to sample vary in length, median over rounds.

    The distance of their quartiles over their median: a corner or a rest does not hide a program.
    A hand is slow and fast in turns. A round that rests for half of its samples and moves else is
    passed over, as nothing is to be divided by.
    """
    return _variation([np.hypot(*np.diff(each, axis=0).T) for each in ways])


def straightness(ways: Sequence[Float[np.ndarray, "_ 2"]]) -> float | None:
    """How far one came over how far one went, in WINDOW steps, mean over windows; 1 is a line."""
    found = []
    for way in ways:
        along = np.cumsum(np.hypot(*np.diff(way, axis=0, prepend=way[:1]).T))
        went = along[WINDOW:] - along[:-WINDOW]
        came = np.hypot(*(way[WINDOW:] - way[:-WINDOW]).T)
        if (moved := went > 0).any():
            found.append(float((came[moved] / went[moved]).mean()))
    return mean(found)


def speed(
    ways: Sequence[Float[np.ndarray, "_ 2"]], times: Sequence[Float[np.ndarray, "_"]]
) -> float | None:
    """Pixels a second, from the first to the last place, mean over rounds."""
    found = []
    for way, t in zip(ways, times, strict=True):
        if len(t) > 1 and t[-1] > t[0]:
            went = np.hypot(*np.diff(way, axis=0).T).sum()
            found.append(float(1000 * went / (t[-1] - t[0])))
    return mean(found)


def colouring(own: Sequence[float], others: Sequence[float]) -> float | None:
    """How many times as much a player uncovers as the others do of the same image, the median.

    Whoever colours in the object uncovers more than is needed to name it.
    """
    told = [mine / theirs for mine, theirs in zip(own, others, strict=True) if theirs > 0]
    return float(np.median(told)) if told else None


def mean(of: Sequence[float | bool]) -> float | None:
    """The mean over rounds: of shares of an image, or of whether something holds."""
    return float(np.mean(of)) if len(of) else None


def half_area(map: Map) -> float:
    """The least share of the pixels that holds half of a map's sum: the less, the more compact.

    Raises ValueError for a map that is negative or 0 everywhere.
    """
    if map.min() < 0 or not map.any():
        raise ValueError(f"a map from {map.min():g} to {map.max():g}; expected >= 0, not all 0")
    most = np.cumsum(np.sort(map.ravel().astype(np.float64))[::-1])
    return float((np.searchsorted(most, most[-1] / 2) + 1) / most.size)


def area_under_curve(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """How often one of the positive scores higher than one of the others; ties count half.

    Raises ValueError unless there are some of both.
    """
    marked = np.array(positive, bool)
    n, m = int(marked.sum()), int((~marked).sum())
    if not n or not m:
        raise ValueError(f"{n} of {n + m} are positive; expected some, and some that are not")
    return float((rank(np.array(scores, np.float64))[marked].sum() - n * (n + 1) / 2) / (n * m))


def _variation(steps: Sequence[Float[np.ndarray, "_"]]) -> float | None:
    found = []
    for each in steps:
        if len(each) >= FEWEST_STEPS:
            low, middle, high = np.quantile(each, (0.25, 0.5, 0.75))
            if middle > 0:
                found.append(float((high - low) / middle))
            elif not each.any():
                found.append(0.0)
    return float(np.median(found)) if found else None
