import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from attnlabels.metrics.ranks import rank, spearman


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_ranks_are_those_of_scipy_equal_values_sharing_theirs(values: list[int]) -> None:
    assert rank(np.array(values)).tolist() == rankdata(values).tolist()


def test_it_is_spearmans_correlation() -> None:
    rng = np.random.default_rng(0)
    a = rng.random((9, 7))
    b = np.round(a + rng.random((9, 7)), 1)  # with ties
    assert spearman(a, b) == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic)
    assert spearman(a, np.exp(3 * a)) == pytest.approx(1)
    assert spearman(a, -a) == pytest.approx(-1)


def test_a_flat_map_agrees_with_none() -> None:
    assert spearman(np.ones((3, 3)), np.arange(9.0).reshape(3, 3)) == 0


def test_maps_of_other_sizes_or_without_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"maps of \(2, 3\) and \(3, 2\)"):
        spearman(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(ValueError, match="no numbers"):
        spearman(np.full((2, 2), np.nan), np.ones((2, 2)))
