"""Means, tests and intervals of the tables (sections 4.2 to 4.5 of the paper).

What a sample cannot tell, for want of values or of spread, is None and never NaN.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Real
from scipy.special import stdtr  # scipy.stats alone takes half a second to import

# Equal values may differ from their mean by rounding; less of a deviation is none.
ROUNDING = 1e-12


class Mean(NamedTuple):
    """Mean of n values and its standard error, None from a single value."""

    n: int
    mean: float
    se: float | None


class TTest(NamedTuple):
    """A two-sided t-test: of n values or pairs, or of n values in two groups together."""

    n: int
    difference: float
    se: float | None
    t: float | None
    p: float | None


def mean_se(values: Real[np.ndarray, "_"]) -> Mean:
    _require_values(values)
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return Mean(n, mean, None)
    deviation = float(np.std(values, ddof=1))
    if deviation <= ROUNDING * np.abs(values).max():
        deviation = 0.0
    return Mean(n, mean, deviation / n**0.5)


def one_sample_t(values: Real[np.ndarray, "_"], expected: float) -> TTest:
    """Of the values' mean against the `expected` one."""
    n, mean, se = mean_se(values)
    if not se:  # one value, or equal ones: no spread to judge the difference by
        return TTest(n, mean - expected, se, None, None)
    return _t_test(n, mean - expected, se, degrees=float(n - 1))


def paired_t(a: Real[np.ndarray, "pairs"], b: Real[np.ndarray, "pairs"]) -> TTest:
    """Of a - b, where both hold the same images or the same seeds in the same order."""
    return one_sample_t(a - b, 0.0)


def welch_t(a: Real[np.ndarray, "a"], b: Real[np.ndarray, "b"]) -> TTest:
    """Of a's mean minus b's, two samples of unlike spread (Welch)."""
    one, other = mean_se(a), mean_se(b)
    n, difference = one.n + other.n, one.mean - other.mean
    if one.se is None or other.se is None:
        return TTest(n, difference, None, None, None)
    u, v = one.se**2, other.se**2
    if u + v == 0:
        return TTest(n, difference, 0.0, None, None)
    degrees = (u + v) ** 2 / (u**2 / (one.n - 1) + v**2 / (other.n - 1))
    return _t_test(n, difference, (u + v) ** 0.5, degrees=degrees)


def bootstrap_interval(
    values: Float[np.ndarray, "_"], *, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    """Interval of the mean that holds `level` of the means of resampled values (percentile)."""
    _require_values(values)
    draw = np.random.default_rng(seed)
    means = [draw.choice(values, len(values)).mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def spearman_brown(r: float) -> float:
    """Reliability of the whole sample from the correlation `r` of its halves."""
    return 2 * r / (1 + r)


def split_half_cc(
    points: Integer[np.ndarray, "p 2"],
    observers: Integer[np.ndarray, "p"],
    *,
    density: Callable[[np.ndarray], np.ndarray],
    splits: int,
    seed: int,
) -> float:
    """Correlation of the maps of two random halves of one image's observers, mean over splits.

    `density` makes the map of some points. This is the ceiling of a model's cc on the image;
    `spearman_brown` takes it from half the observers to all.
    """
    people = np.unique(observers)
    if len(people) < 2:
        raise ValueError(f"{len(people)} observers cannot be halved; leave out such images")
    draw = np.random.default_rng(seed)
    correlations = []
    for _ in range(splits):
        half = draw.permutation(people)[:len(people) // 2]
        inside = np.isin(observers, half)
        one, other = density(points[inside]), density(points[~inside])
        correlations.append(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    return float(np.mean(correlations))


def _t_test(n: int, difference: float, se: float, *, degrees: float) -> TTest:
    t = difference / se
    return TTest(n, difference, se, t, float(2 * stdtr(degrees, -abs(t))))


def _require_values(values: np.ndarray) -> None:
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values, expected one or more and all of them finite")
