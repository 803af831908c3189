"""Means, tests and intervals of the tables (sections 4.2 to 4.5 of the paper).

What a sample cannot tell, for want of values or of spread, is None and never NaN.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, Real

# Of t and of the normal; scipy.stats alone takes half a second to import.
from scipy.special import ndtr, ndtri, stdtr, stdtrit

# Equal values may differ from their mean by rounding; less of a deviation is none.
ROUNDING = 1e-12
DRAWN_AT_ONCE = 2**20  # values, of the bootstrap; the memory that it takes


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


class Interval(NamedTuple):
    """The ends of a confidence interval."""

    low: float
    high: float


class Equivalence(NamedTuple):
    """Two one-sided t-tests of n values or pairs: a small p says that `difference` is small."""

    n: int
    difference: float
    se: float | None
    p: float | None


def mean_se(values: Real[np.ndarray, "_"]) -> Mean:
    """The mean and its standard error, s / √n, which is None of one value.

    Raises ValueError without values, or if one is not finite.
    """
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
    return one_sample_t(_differences(a, b), 0.0)


def _differences(
    a: Real[np.ndarray, "pairs"], b: Real[np.ndarray, "pairs"]
) -> Real[np.ndarray, "pairs"]:
    """a - b, where what is only of rounding is none."""
    least = ROUNDING * np.maximum(np.abs(a), np.abs(b))
    return np.where(np.abs(a - b) > least, a - b, 0.0)


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


def paired_equivalence(
    a: Real[np.ndarray, "pairs"], b: Real[np.ndarray, "pairs"], *, margin: float
) -> Equivalence:
    """Whether a - b is within `margin` of 0, of the same images or seeds (TOST, Schuirmann 1987).

    p is the larger one of the two tests against a difference of -margin or less and of margin or
    more. It is below α exactly where the t interval of the level 1 - 2α lies within the margin.
    """
    if margin <= 0:
        raise ValueError(f"the margin is {margin}, expected more than 0")
    n, difference, se = mean_se(_differences(a, b))
    if not se:
        return Equivalence(n, difference, se, None)
    return Equivalence(n, difference, se, float(stdtr(n - 1, (abs(difference) - margin) / se)))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """The family of p-values corrected for their number (Holm 1979); None is no test, nor counted.

    To reject what is then at most α errs once or more with a probability of at most α.
    """
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    least = 0.0
    for rank, (p, i) in enumerate(tested):
        corrected[i] = least = max(least, min(1.0, (len(tested) - rank) * p))
    return corrected


def t_interval(values: Real[np.ndarray, "_"], *, level: float) -> Interval | None:
    """Interval of the mean of normally distributed values; None where they have no spread."""
    n, mean, se = mean_se(values)
    if not se:
        return None
    reach = se * float(stdtrit(n - 1, (1 + level) / 2))
    return Interval(mean - reach, mean + reach)


def fewest_for_bootstrap(level: float) -> int:
    """How many values an interval of that level needs, which for 0.95 are six.

    The means of resamples stay within the values' range, and the range of n values misses the
    middle of their distribution with a probability of 2^(1 - n), which has to be 1 - level or less.
    """
    return 1 + math.ceil(-math.log2(1 - level))


def bootstrap_interval(
    values: Real[np.ndarray, "_"], *, level: float, resamples: int, seed: int
) -> Interval | None:
    """Interval of the mean from means of resampled values (BCa, Efron 1987, for skewed ones).

    None where the values have no spread or are fewer than `fewest_for_bootstrap`.
    """
    n, mean, se = mean_se(values)
    if not se or n < fewest_for_bootstrap(level):
        return None
    means = np.sort(_resampled_means(values, resamples, seed=seed))
    # The bias of the resamples' median, and how fast the error grows with the mean (jackknife).
    below = np.searchsorted(means, mean, "left") + np.searchsorted(means, mean, "right")
    bias = ndtri(below / (2 * resamples))
    deviations = values - mean
    acceleration = np.sum(deviations**3) / (6 * np.sum(deviations**2) ** 1.5)
    normal = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(means, ndtr(bias + normal / (1 - acceleration * normal)))
    return Interval(float(low), float(high))


def spearman_brown(r: float, times: int = 2) -> float:
    """Reliability of so many `times` as much as `r` is of; of a whole from that of its halves.

    An `r` of 0 or less, of what shares nothing, stays as it is: corrected it would have no bound.
    """
    return times * r / (1 + (times - 1) * r) if r > 0 else r


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
        half = draw.permutation(people)[: len(people) // 2]
        inside = np.isin(observers, half)
        one, other = density(points[inside]), density(points[~inside])
        correlations.append(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    return float(np.mean(correlations))


def _t_test(n: int, difference: float, se: float, *, degrees: float) -> TTest:
    t = difference / se
    return TTest(n, difference, se, t, float(2 * stdtr(degrees, -abs(t))))


def _resampled_means(
    values: Real[np.ndarray, "n"], resamples: int, *, seed: int
) -> Float[np.ndarray, "_"]:
    draw = np.random.default_rng(seed)
    rows = max(1, DRAWN_AT_ONCE // len(values))
    parts = [
        draw.choice(values, (min(rows, resamples - start), len(values))).mean(axis=1)
        for start in range(0, resamples, rows)
    ]
    return np.concatenate(parts)


def _require_values(values: np.ndarray) -> None:
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values, expected one or more and all of them finite")
