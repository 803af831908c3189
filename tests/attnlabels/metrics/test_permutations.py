import numpy as np
import pytest
from scipy.stats import permutation_test

from attnlabels.metrics.permutations import label_permutations, sign_flips


def test_sign_flips_are_those_of_scipy() -> None:
    differences = np.random.default_rng(0).normal(0.4, 1, 25)
    found = sign_flips(differences)
    expected = permutation_test(
        (differences, -differences),
        lambda a, b, axis: (a - b).mean(axis) / 2,
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=1,
    )
    assert found.n == 25 and found.difference == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_label_permutations_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 18), rng.normal(0, 1, 31)
    found = label_permutations(a, b)
    expected = permutation_test(
        (a, b),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        vectorized=True,
        n_resamples=20_000,
        rng=1,
    )
    assert found.n == 49 and found.difference == pytest.approx(a.mean() - b.mean())
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_p_is_never_zero_and_the_data_are_one_of_the_permutations() -> None:
    assert sign_flips(np.full(60, 2.0), permutations=99).p == 0.01
    assert label_permutations(np.arange(50.0), np.arange(50) + 1e3, permutations=99).p == 0.01


def test_of_few_values_all_signs_are_as_likely() -> None:
    # Of three equal differences 2 of the 8 signs are as extreme.
    assert sign_flips(np.full(3, 0.1), permutations=40_000).p == pytest.approx(0.25, abs=0.01)


def test_equal_values_say_nothing() -> None:
    assert sign_flips(np.zeros(5)).p == 1
    assert label_permutations(np.ones(4), np.ones(6)).p == 1


def test_what_flips_together_counts_once() -> None:
    values, blocks = np.full(3, 0.1), np.arange(3)
    alone = sign_flips(values, seed=3)
    together = sign_flips(np.repeat(values, 50), blocks=np.repeat(blocks * 7, 50), seed=3)
    assert together.p == alone.p and together.difference == pytest.approx(0.1)
    assert together.n == 150
    assert sign_flips(np.repeat(values, 50)).p == pytest.approx(1e-4, rel=1e-3)


def test_under_no_effect_p_is_as_often_small_as_it_says() -> None:
    rng = np.random.default_rng(0)
    flips = [sign_flips(rng.normal(size=12), permutations=199, seed=i).p for i in range(400)]
    labels = [
        label_permutations(rng.normal(size=8), rng.normal(size=9), permutations=199, seed=i).p
        for i in range(400)
    ]
    for ps in (flips, labels):
        assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.08


def test_a_seed_repeats_it_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(0.3, 1, 40)
    found = sign_flips(values, seed=5)
    assert sign_flips(values, seed=5) == found != sign_flips(values, seed=6)


@pytest.mark.parametrize("values", [np.array([]), np.array([1.0, np.nan])])
def test_without_numbers_there_is_no_test(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values, not all of them finite"):
        sign_flips(values)
    with pytest.raises(ValueError, match="values, not all of them finite"):
        label_permutations(np.ones(3), values)
    with pytest.raises(ValueError, match="0 permutations"):
        sign_flips(np.ones(3), permutations=0)
