import numpy as np
import pytest
from scipy.stats import spearmanr

from attnlabels.studies.association import spearman_in_families

OPTIONS = {"level": 0.95, "resamples": 200, "seed": 0}


def test_over_all_it_is_scipys_also_with_ties():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 30).astype(float), rng.random(30)
    families = np.arange(30) % 3
    found = spearman_in_families(x, y, families, within=False, **OPTIONS)
    assert found.n == 30 and found.rho == pytest.approx(spearmanr(x, y).statistic)
    assert found.low <= found.rho <= found.high


def test_what_differs_between_families_alone_is_nothing_within_them():
    rng = np.random.default_rng(1)
    families = np.repeat(np.arange(3), 40)
    x, y = (10.0 * families + rng.random(120) for _ in range(2))
    over_all = spearman_in_families(x, y, families, within=False, **OPTIONS)
    within = spearman_in_families(x, y, families, within=True, **OPTIONS)
    assert over_all.rho > 0.8 and abs(within.rho) < 0.3
    assert within.low < 0 < within.high


def test_within_families_the_sign_may_be_another_than_between_them():
    families = np.repeat(np.arange(2), 5)
    step = np.tile(np.arange(5.0), 2)
    found = {
        within: spearman_in_families(
            100 * families + step, 100 * families - step, families, within=within, **OPTIONS
        ).rho
        for within in (False, True)
    }
    assert found[False] > 0 and found[True] == pytest.approx(-1)


def test_a_family_of_one_tells_nothing_within_and_no_family_nothing_at_all():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    found = spearman_in_families(x, y, np.array([0, 0, 1]), within=True, **OPTIONS)
    assert found.n == 2
    none = spearman_in_families(x, y, np.array([0, 1, 2]), within=True, **OPTIONS)
    assert none == (0, None, None, None)


def test_what_does_not_vary_has_no_correlation():
    x, y = np.ones(4), np.arange(4.0)
    found = spearman_in_families(x, y, np.zeros(4, int), within=False, **OPTIONS)
    assert found.rho is None and found.low is None


def test_what_is_no_number_is_refused():
    x = np.array([1.0, np.nan])
    with pytest.raises(ValueError, match="no numbers"):
        spearman_in_families(x, x, np.zeros(2, int), within=False, **OPTIONS)
