import numpy as np
import pandas as pd
import pytest

from attnlabels.metrics.permutations import label_permutations, sign_flips
from attnlabels.metrics.statistics import holm
from attnlabels.psychophysics.curves import (
    compare,
    curves_of,
    fit_curves,
    means_of,
    resampled_shares,
)
from attnlabels.psychophysics.psychometric import Psychometric

SHARES = (0.0, 0.03, 0.1, 0.3, 1.0)
DRAWN = {"permutations": 2000, "seed": 0}


def group(map_type: str, *, middle: float, people: range, n: int = 20, seed: int = 0) -> list[dict]:
    """So many trials of each person at each share, right as a psychometric function has it."""
    rng = np.random.default_rng(seed)
    function = Psychometric(0.5, 0.02, 8.0, middle, 0.0)
    rows = []
    for who in people:
        for share in SHARES:
            p = function.accuracy(np.array([share]))[0] if share else 0.5
            rows += [
                {"participant": f"p{who}", "map_type": map_type, "share": share, "correct": each}
                for each in rng.random(n) < p
            ]
    return rows


def between() -> pd.DataFrame:
    one = group("players", middle=-1.2, people=range(12))
    return pd.DataFrame(one + group("bottom_up", middle=-0.7, people=range(20, 32), seed=1))


def within() -> pd.DataFrame:
    one = group("players", middle=-1.2, people=range(12))
    return pd.DataFrame(one + group("bottom_up", middle=-0.7, people=range(12), seed=1))


def accuracies(trials: pd.DataFrame, map_type: str, share: float) -> np.ndarray:
    own = trials[(trials["map_type"] == map_type) & (trials["share"] == share)]
    people = sorted({*own["participant"]})
    return np.array([own["correct"][own["participant"] == who].mean() for who in people])


def test_a_curve_is_the_mean_and_its_standard_error_over_participants():
    trials = between()
    curves = curves_of(means_of(trials))
    assert curves.keys() == {"players", "bottom_up"}
    for map_type, curve in curves.items():
        assert tuple(curve) == SHARES
        for share, found in curve.items():
            each = accuracies(trials, map_type, share)
            assert found.n == 12 and found.mean == pytest.approx(each.mean())
            assert found.se == pytest.approx(each.std(ddof=1) / 12**0.5)


def test_participants_count_alike_however_many_trials_they_answered():
    rows = [("a", True)] * 9 + [("b", False)]
    trials = pd.DataFrame(rows, columns=["participant", "correct"])
    trials = trials.assign(map_type="players", share=0.1)
    assert curves_of(means_of(trials))["players"][0.1].mean == 0.5


def test_curves_are_fitted_by_map_type_and_thresholds_are_near_the_truth():
    fits = fit_curves(between(), guess=0.5, most_lapses=0.1)
    for name, middle in (("players", -1.2), ("bottom_up", -0.7)):
        share = fits[name].share_at(0.74)
        assert share is not None and abs(np.log10(share) - middle) < 0.15


def test_resampled_thresholds_lie_around_that_of_all():
    trials = between()
    own = trials[trials["map_type"] == "players"]
    fit = fit_curves(own, guess=0.5, most_lapses=0.1)["players"]
    how = {"accuracy": 0.75, "most_lapses": 0.1, "resamples": 60}
    found = resampled_shares(own, fit, **how, seed=0)
    assert len(found) == 60 and len({*found}) > 30
    low, high = np.quantile(found, [0.05, 0.95])
    assert low < fit.share_at(0.75) < high < 2 * low
    assert (resampled_shares(own, fit, **how, seed=0) == found).all()
    never = resampled_shares(own, fit, accuracy=0.9999, most_lapses=0.1, resamples=20, seed=0)
    assert np.isinf(never).any()


def test_participants_who_saw_one_share_each_are_resampled_with_those_of_others():
    rows = [
        (who, share, bool(k < right))
        for who, share, right in (("a", 0.1, 3), ("b", 0.3, 6), ("c", 0.6, 10))
        for k in range(10)
    ]
    trials = pd.DataFrame(rows, columns=["participant", "share", "correct"])
    fit = fit_curves(trials.assign(map_type="x"), guess=0.1, most_lapses=0.1)["x"]
    how = {"accuracy": 0.7, "most_lapses": 0.1, "resamples": 50, "seed": 0}
    assert len(resampled_shares(trials, fit, **how)) == 50


@pytest.mark.parametrize("paired", [True, False])
def test_a_test_is_of_participants_and_corrected_for_the_shares(paired):
    trials = within() if paired else between()
    found = compare(means_of(trials), "players", "bottom_up", **DRAWN)
    assert [*found] == [0.03, 0.1, 0.3]  # nothing and all are the same for both
    tests = {}
    for share in found:
        a, b = (accuracies(trials, name, share) for name in ("players", "bottom_up"))
        tests[share] = sign_flips(a - b, **DRAWN) if paired else label_permutations(a, b, **DRAWN)
    corrected = holm([test.p for test in tests.values()])
    assert [*found.values()] == [*zip(tests.values(), corrected)]
    assert found[0.1][0].difference > 0.1 and found[0.1][1] < 0.05


def test_two_groups_of_one_kind_do_not_differ():
    trials = pd.DataFrame(
        group("one", middle=-1, people=range(12))
        + group("two", middle=-1, people=range(20, 32), seed=5)
    )
    assert all(p > 0.05 for _, p in compare(means_of(trials), "one", "two", **DRAWN).values())


def test_a_share_that_one_of_them_saw_is_not_tested():
    trials = between()
    alone = (trials["map_type"] == "players") & (trials["share"] == 0.1)
    trials = trials[~alone | (trials["participant"] == "p0")]
    assert [*compare(means_of(trials), "players", "bottom_up", **DRAWN)] == [0.03, 0.3]


def test_map_types_that_cannot_be_compared_are_refused():
    means = means_of(between())
    with pytest.raises(ValueError, match="no map type 'none'; expected some of bottom_up, players"):
        compare(means, "players", "none", **DRAWN)
    some = pd.concat([within(), pd.DataFrame(group("players", middle=-1, people=range(40, 44)))])
    with pytest.raises(ValueError, match="12 participants have both .* others one of them"):
        compare(means_of(some), "players", "bottom_up", **DRAWN)


def test_a_map_type_without_a_curve_is_named():
    trials = between()
    trials = trials[(trials["map_type"] == "players") | (trials["share"] == 1)]
    with pytest.raises(ValueError, match="map type bottom_up: 1 shares above 0"):
        fit_curves(trials, guess=0.5, most_lapses=0.1)
