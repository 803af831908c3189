"""Accuracy against the share revealed, and tests of two map types at each (Fig. 2B of the paper).

A participant is the unit: each has a mean of its own at each share, and over these are the standard
errors and the tests (Linsley et al., ICLR 2019, §2.2).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from attnlabels.metrics.permutations import PermutationTest, label_permutations, sign_flips
from attnlabels.metrics.statistics import Mean, TTest, holm, mean_se, one_sample_t
from attnlabels.psychophysics.psychometric import LEAST_SHARES, Psychometric, fit_psychometric

FEWEST = 2  # participants of a test
Curves = dict[str, dict[float, Mean]]  # by map type and share
Compared = dict[float, tuple[PermutationTest, float]]  # by share; p by Holm beside the test


def means_of(trials: pd.DataFrame) -> pd.DataFrame:
    """Each participant's accuracy by map type and share: columns participant, map_type, share,
    correct; of trials that were answered."""
    by = ["map_type", "share", "participant"]
    return trials.groupby(by, sort=True)["correct"].mean().reset_index()


def curves_of(means: pd.DataFrame) -> Curves:
    """Accuracy over participants, by map type and share."""
    grouped = means.groupby(["map_type", "share"], sort=True)["correct"]
    curves: Curves = {}
    for (map_type, share), accuracies in grouped:
        curves.setdefault(str(map_type), {})[float(share)] = mean_se(accuracies.to_numpy())
    return curves


def leak_of(means: pd.DataFrame, *, guess: float) -> TTest | None:
    """Participants' accuracy where nothing is revealed against chance; None if nobody saw that.

    What is above it is told by something else than the image, such as the hue of the background.
    """
    blank = means[means["share"] == 0].groupby("participant")["correct"].mean()
    return one_sample_t(blank.to_numpy(), guess) if len(blank) else None


def fit_curves(
    trials: pd.DataFrame, *, guess: float, most_lapses: float
) -> dict[str, Psychometric]:
    """The psychometric function of each map type, of all its participants' trials together."""
    fits = {}
    for map_type, group in trials.groupby("map_type", sort=True):
        counted = group.groupby("share")["correct"].agg(["sum", "count"])
        try:
            fits[str(map_type)] = fit_psychometric(
                counted.index.to_numpy(np.float64),
                counted["sum"].to_numpy(np.int64),
                counted["count"].to_numpy(np.int64),
                guess=guess,
                most_lapses=most_lapses,
            )
        except ValueError as error:
            raise ValueError(f"map type {map_type}: {error}") from None
    return fits


def resampled_shares(
    trials: pd.DataFrame,
    fit: Psychometric,
    *,
    accuracy: float,
    most_lapses: float,
    resamples: int,
    seed: int,
) -> Float[np.ndarray, "_"]:
    """Where accuracy is reached in resamples of a map type's participants, with replacement.

    `fit` is the function of all its trials, from which the search begins. What lies between two
    quantiles is an interval of the share (Efron's percentile bootstrap). Infinite where a resample
    does not reach it, and 0 where it does below the least share shown. A resample of participants
    who all saw one share has no curve, and is drawn again.
    """
    counted = trials.groupby(["participant", "share"])["correct"].agg(["sum", "count"])
    right, total = (counted[key].unstack(fill_value=0) for key in ("sum", "count"))
    shares, rng = right.columns.to_numpy(np.float64), np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < resamples:
        drawn = rng.integers(len(right), size=len(right))
        sums = [each.to_numpy(np.int64)[drawn].sum(axis=0) for each in (right, total)]
        if np.count_nonzero((shares > 0) & (sums[1] > 0)) < LEAST_SHARES:
            continue
        again = fit_psychometric(shares, *sums, guess=fit.guess, most_lapses=most_lapses, near=fit)
        share = again.share_at(accuracy)
        found.append(np.inf if share is None else share)
    return np.array(found)


def compare(means: pd.DataFrame, one: str, other: str, *, permutations: int, seed: int) -> Compared:
    """Of each share, accuracy with one map type minus another's, its p, and p by Holm.

    Where no participant has both, groups' labels are permuted, as in the paper; where all who have
    one have the other, the signs of their differences are. Holm's correction is for the number of
    shares. At a share that fewer than two of either have seen, or at which both see the same, 0 and
    1, there is no test. Raises ValueError for a map type that nobody saw, and where some have both
    and some have one.
    """
    names = sorted({*means["map_type"]})
    if missing := [name for name in (one, other) if name not in names]:
        raise ValueError(f"no map type {missing[0]!r}; expected some of {', '.join(names)}")
    groups = [means[means["map_type"] == name] for name in (one, other)]
    who, whom = ({*group["participant"]} for group in groups)
    if who & whom and who != whom:
        raise ValueError(
            f"{len(who & whom)} participants have both {one} and {other}, others one of them; "
            "compare map types that all have, or that nobody shares"
        )
    tests: dict[float, PermutationTest] = {}
    for share in _shares(groups):
        a, b = (group[group["share"] == share].set_index("participant") for group in groups)
        if who == whom:
            paired = (a["correct"] - b["correct"]).dropna().to_numpy()
            values = [paired]
        else:
            values = [a["correct"].to_numpy(), b["correct"].to_numpy()]
        if min(map(len, values)) >= FEWEST:
            test = sign_flips if len(values) == 1 else label_permutations
            tests[share] = test(*values, permutations=permutations, seed=seed)
    corrected = [p for p in holm([test.p for test in tests.values()]) if p is not None]
    return {share: (tests[share], p) for share, p in zip(tests, corrected)}


def _shares(groups: Sequence[pd.DataFrame]) -> list[float]:
    """Those at which two map types reveal unlike things, in both groups."""
    both = set.intersection(*({*group["share"]} for group in groups))
    return sorted(float(share) for share in both if 0 < share < 1)
