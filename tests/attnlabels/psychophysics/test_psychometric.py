import numpy as np
import pytest

from attnlabels.psychophysics.psychometric import Psychometric, fit_psychometric

SHARES = np.array([0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0])
TRUE = Psychometric(guess=0.125, lapse=0.05, slope=6.0, middle=-1.0, log_likelihood=0.0)


def counts(function: Psychometric, n: int) -> np.ndarray:
    return np.rint(n * function.accuracy(SHARES)).astype(np.int64)


def fit(correct: np.ndarray, n: int, **changed) -> Psychometric:
    asked = {"guess": 0.125, "most_lapses": 0.2} | changed
    return fit_psychometric(SHARES, correct, np.full(len(SHARES), n), **asked)


def test_a_function_is_found_again_from_many_of_its_answers():
    found = fit(counts(TRUE, 100_000), 100_000)
    np.testing.assert_allclose(found[1:4], TRUE[1:4], rtol=0.02)


def test_the_fit_is_as_likely_as_the_best_of_a_fine_grid():
    rng = np.random.default_rng(0)
    n = 40
    correct = rng.binomial(n, TRUE.accuracy(SHARES))
    best = -np.inf
    for middle in np.linspace(-2, 0, 41):
        for slope in np.geomspace(0.5, 40, 40):
            for lapse in np.linspace(0, 0.2, 11):
                p = Psychometric(0.125, lapse, slope, middle, 0.0).accuracy(SHARES)
                p = p.clip(1e-9, 1 - 1e-9)
                best = max(best, float((correct * np.log(p) + (n - correct) * np.log(1 - p)).sum()))
    found = fit(correct, n)
    assert found.log_likelihood >= best - 1e-6
    near = fit(correct, n, near=found)
    assert near.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-4)


def test_halfway_between_guessing_and_lapsing_is_the_middle():
    assert TRUE.share_at((0.125 + 0.95) / 2) == pytest.approx(0.1)
    share = TRUE.share_at(0.75)
    assert share is not None
    assert TRUE.accuracy(np.array([share]))[0] == pytest.approx(0.75)


def test_what_is_never_reached_has_no_share():
    assert TRUE.share_at(0.96) is None and TRUE.share_at(0.125) is None
    flat = TRUE._replace(middle=0.5)  # half of the rise is beyond the whole image
    assert flat.share_at(0.75) is None


def test_below_the_least_that_was_shown_nothing_tells_how_far():
    always = fit(np.array([38, 39, 39, 38, 39, 39, 38]), 40)
    assert always.shown == (SHARES[0], SHARES[-1]) and always.share_at(0.75) == 0


def test_shares_of_nothing_and_without_trials_are_left_out():
    with_nothing = fit_psychometric(
        np.array([0.0, *SHARES, 0.3]),
        np.array([9, *counts(TRUE, 50), 0]),
        np.array([50, *[50] * len(SHARES), 0]),
        guess=0.125,
        most_lapses=0.2,
    )
    assert with_nothing == fit(counts(TRUE, 50), 50)


def test_a_perfect_step_and_chance_everywhere_are_fitted_too():
    step = np.where(SHARES < 0.1, 0, 30)
    found = fit(step, 30, guess=0.0)
    share = found.share_at(0.5)
    assert share is not None and 0.05 < share <= 0.1
    chance = fit(np.full(len(SHARES), 10), 80)
    assert chance.share_at(0.75) is None
    np.testing.assert_allclose(chance.accuracy(SHARES), 0.125, atol=1e-3)


def test_what_makes_no_curve_is_refused():
    one = np.array([10])
    with pytest.raises(ValueError, match="1 shares above 0; a curve needs two or more"):
        fit_psychometric(np.array([0.5]), one, one, guess=0.5, most_lapses=0.1)
    with pytest.raises(ValueError, match="a guess of 0.5 and lapses up to 0.5; .* below 1"):
        fit(counts(TRUE, 10), 10, guess=0.5, most_lapses=0.5)
