"""How two numbers of runs go together by their ranks, and how sure that is.

Runs come in families that differ in kind. Over all runs a correlation may say no more than that
families differ, so it is given within families too, and a resample keeps each family's size.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

from attnlabels.metrics.ranks import rank_correlation


class Association(NamedTuple):
    """Spearman's correlation of n pairs; no interval where resamples may lack spread."""

    n: int
    rho: float | None  # None where one of the two does not vary
    low: float | None
    high: float | None


def spearman_in_families(
    x: Real[np.ndarray, "n"],
    y: Real[np.ndarray, "n"],
    families: Int[np.ndarray, "n"],
    *,
    within: bool,
    level: float,
    resamples: int,
    seed: int,
) -> Association:
    """Of all pairs, or, `within` families, of what both are above their families' means.

    The interval is the bootstrap's percentiles; runs are drawn anew within each family (and, if
    `within`, the means are those of what was drawn). A family of one run tells nothing within.
    Raises ValueError for pairs that are not finite.
    """
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a run has scores that are no numbers")
    members = [np.flatnonzero(families == each) for each in np.unique(families)]
    if within:
        members = [each for each in members if len(each) > 1]
    if not members:
        return Association(0, None, None, None)
    rows, rng = np.concatenate(members), np.random.default_rng(seed)
    found = _rho(x, y, members, within=within)
    drawn = [
        _rho(x, y, [rng.choice(each, len(each)) for each in members], within=within)
        for _ in range(resamples)
    ]
    told = np.array([each for each in drawn if each is not None])
    if found is None or not len(told):
        return Association(len(rows), found, None, None)
    low, high = np.quantile(told, [(1 - level) / 2, (1 + level) / 2])
    return Association(len(rows), found, float(low), float(high))


def _rho(
    x: Real[np.ndarray, "n"],
    y: Real[np.ndarray, "n"],
    members: list[Int[np.ndarray, "_"]],
    *,
    within: bool,
) -> float | None:
    return rank_correlation(*(_taken(each, members, within=within) for each in (x, y)))


def _taken(
    values: Real[np.ndarray, "n"], members: list[Int[np.ndarray, "_"]], *, within: bool
) -> Float[np.ndarray, "_"]:
    parts = [values[each].astype(np.float64) for each in members]
    return np.concatenate([each - each.mean() if within else each for each in parts])
