"""The psychometric function: accuracy against the share revealed, and where it reaches a level.

A logistic function of the logarithm of the share between guessing and lapsing (Wichmann & Hill
2001): p(x) = γ + (1 - γ - λ) / (1 + exp(-β (log10 x - μ))), γ the chance of a right guess and λ
that of a wrong answer however much is seen.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import expit, xlog1py, xlogy

STEEPEST = 50.0  # of β, per tenfold share: from a tenth to nine tenths within 1.2 times the share
FLATTEST = 0.1
STARTS = (1.0, 4.0, 16.0)  # of β; the likelihood has several maxima
BEYOND = 1.0  # of what was shown the middle may lie, in powers of ten
LEAST_SHARES = 2  # above 0, that a curve needs
EPS = 1e-9  # keeps probabilities off 0 and 1, whose logarithm is asked for


class Psychometric(NamedTuple):
    """A fitted function; `guess` was given, the others were found."""

    guess: float  # γ
    lapse: float  # λ
    slope: float  # β, of log10 of the share
    middle: float  # μ, log10 of the share at which it is halfway
    log_likelihood: float
    shown: tuple[float, float] = (0.0, 1.0)  # the least and the largest share it was fitted to

    def accuracy(self, share: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
        """Chance of a right answer at shares above 0."""
        rise = expit(self.slope * (np.log10(share) - self.middle))
        return self.guess + (1 - self.guess - self.lapse) * rise

    def share_at(self, accuracy: float) -> float | None:
        """The share at which that accuracy is reached; None if by none up to the largest shown.

        0 if it is below the least shown: how far below, nothing tells.
        """
        risen = (accuracy - self.guess) / (1 - self.guess - self.lapse)
        if not 0 < risen < 1:
            return None
        share = float(10 ** (self.middle + np.log(risen / (1 - risen)) / self.slope))
        least, most = self.shown
        return None if share > most else share if share >= least else 0.0


def fit_psychometric(
    share: Float[np.ndarray, "n"],
    correct: Int[np.ndarray, "n"],
    total: Int[np.ndarray, "n"],
    *,
    guess: float,
    most_lapses: float,
    near: Psychometric | None = None,
) -> Psychometric:
    """The function by which so many right answers of so many at these shares are most likely.

    λ is at most `most_lapses`. The search begins in many places, or only at the function `near`, as
    that of all data is to a resample of them. A share of 0 has no logarithm, and tells of γ alone,
    which is given: such are left out. Raises ValueError for fewer than two shares above 0, and for
    γ or λ beyond what adds up.
    """
    if not (0 <= guess < 1 and 0 <= most_lapses < 1 - guess):
        raise ValueError(
            f"a guess of {guess} and lapses up to {most_lapses}; expected both from 0, their sum "
            "below 1"
        )
    asked = (share > 0) & (total > 0)
    x, right, n = np.log10(share[asked]), correct[asked], total[asked]
    if len(np.unique(x)) < LEAST_SHARES:
        raise ValueError(f"{len(np.unique(x))} shares above 0; a curve needs two or more")

    def cost(theta: Float[np.ndarray, "3"]) -> float:
        middle, log_slope, lapse = theta
        p = guess + (1 - guess - lapse) * expit(np.exp(log_slope) * (x - middle))
        p = np.clip(p, EPS, 1 - EPS)
        return -float(np.sum(xlogy(right, p) + xlog1py(n - right, -p)))

    # Where nobody saw enough, the middle lies beyond what was shown; how far is told by nothing.
    bounds = [
        (x.min() - BEYOND, x.max() + BEYOND),
        (np.log(FLATTEST), np.log(STEEPEST)),
        (0.0, most_lapses),
    ]
    starts = [(at, np.log(b), most_lapses / 2) for at in np.unique(x) for b in STARTS]
    if near is not None:
        starts = [(near.middle, np.log(near.slope), near.lapse)]
    fits = [minimize(cost, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best = min(fits, key=lambda fit: float(fit.fun))
    middle, log_slope, lapse = map(float, best.x)
    slope, shown = float(np.exp(log_slope)), (float(share[asked].min()), float(share[asked].max()))
    return Psychometric(guess, lapse, slope, middle, -float(best.fun), shown)
