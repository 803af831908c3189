import numpy as np
import pytest
from scipy import stats

from attnlabels.metrics.statistics import (
    bootstrap_interval,
    mean_se,
    one_sample_t,
    paired_t,
    spearman_brown,
    split_half_cc,
    welch_t,
)


def sample(seed: int, n: int, *, mean: float = 0.0, spread: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, n)


def test_mean_and_standard_error_worked_by_hand() -> None:
    n, mean, se = mean_se(np.array([1.0, 2.0, 3.0]))  # variance 1, se 1 / sqrt(3)
    assert (n, mean) == (3, 2)
    assert se == pytest.approx(3**-0.5)


def test_standard_error_equals_scipy() -> None:
    values = sample(0, 50)
    assert mean_se(values).se == pytest.approx(stats.sem(values))


def test_one_sample_equals_scipy() -> None:
    values = sample(0, 20, mean=0.3)
    expected = stats.ttest_1samp(values, 0.1)
    result = one_sample_t(values, 0.1)
    assert result.n == 20
    assert result.difference == pytest.approx(values.mean() - 0.1)
    assert (result.t, result.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_paired_equals_scipy() -> None:
    a, b = sample(0, 20, mean=0.3), sample(1, 20)
    expected, result = stats.ttest_rel(a, b), paired_t(a, b)
    assert result.n == 20
    assert (result.t, result.p) == pytest.approx((expected.statistic, expected.pvalue))


def test_welch_equals_scipy() -> None:
    a, b = sample(0, 9, mean=0.3, spread=3.0), sample(1, 30)
    expected, result = stats.ttest_ind(a, b, equal_var=False), welch_t(a, b)
    assert result.n == 39
    assert (result.t, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.se == pytest.approx(result.difference / expected.statistic)


def test_welch_serves_where_one_group_has_no_spread() -> None:
    a, b = np.full(5, 2.0), sample(1, 6)
    expected, result = stats.ttest_1samp(b, 2.0), welch_t(a, b)
    assert (result.t, result.p) == pytest.approx((-expected.statistic, expected.pvalue))


def test_exchanging_the_samples_changes_the_sign_alone() -> None:
    a, b = sample(0, 9), sample(1, 9)
    for test in (welch_t, paired_t):
        one, other = test(a, b), test(b, a)
        assert one.t is not None and other.t is not None
        assert one.t == pytest.approx(-other.t)
        assert one.p == pytest.approx(other.p)


def test_pairing_removes_what_the_pairs_share() -> None:
    image, effect = sample(0, 40, spread=10.0), sample(1, 40, mean=0.5, spread=0.1)
    paired, welch = paired_t(image + effect, image), welch_t(image + effect, image)
    assert paired.p is not None and paired.p < 1e-6
    assert welch.p is not None and welch.p > 0.5


def test_one_value_has_a_mean_and_no_error_or_test() -> None:
    one = np.array([0.4])
    assert mean_se(one) == (1, 0.4, None)
    assert one_sample_t(one, 0.0) == (1, 0.4, None, None, None)
    assert paired_t(one, one) == (1, 0.0, None, None, None)
    assert welch_t(one, np.array([0.1, 0.5]))[2:] == (None, None, None)


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, 76.9])
def test_equal_values_have_no_test(value: float) -> None:
    equal = np.full(3, value)  # the mean of three times 0.1 is not 0.1
    assert one_sample_t(equal, 0.0) == (3, pytest.approx(value), 0.0, None, None)
    assert paired_t(equal, equal) == (3, 0.0, 0.0, None, None)
    assert welch_t(equal, equal) == (6, 0.0, 0.0, None, None)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf, 1.0]])
def test_missing_values_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=f"{len(values)} values"):
        mean_se(np.array(values))
    with pytest.raises(ValueError, match=f"{len(values)} values"):
        bootstrap_interval(np.array(values), level=0.95, resamples=10, seed=0)


def test_bootstrap_agrees_with_scipy() -> None:
    values = sample(0, 200, mean=5.0, spread=2.0)
    low, high = bootstrap_interval(values, level=0.9, resamples=4000, seed=0)
    expected = stats.bootstrap(
        [values],
        np.mean,
        n_resamples=4000,
        confidence_level=0.9,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03)


def test_bootstrap_is_fixed_by_its_seed() -> None:
    values = sample(0, 30)
    one, again, other = (
        bootstrap_interval(values, level=0.95, resamples=200, seed=seed) for seed in (1, 1, 2)
    )
    assert one == again != other
    assert one[0] < values.mean() < one[1]


def test_spearman_brown_worked_by_hand() -> None:
    assert spearman_brown(0.5) == pytest.approx(2 / 3)
    assert spearman_brown(1.0) == 1
    assert spearman_brown(0.883) == pytest.approx(0.938, abs=1e-3)  # OSIE, eye tracking


def histogram(points: np.ndarray) -> np.ndarray:
    return np.histogram2d(points[:, 0], points[:, 1], bins=6, range=[(0, 24), (0, 24)])[0]


def test_observers_who_look_alike_agree_and_others_do_not() -> None:
    draw = np.random.default_rng(0)
    observers = np.repeat(np.arange(10), 40)
    together = draw.normal(12, 3, (400, 2)).clip(0, 23).astype(np.int16)
    anywhere = draw.integers(0, 24, (400, 2))
    alike, unlike = (
        split_half_cc(points, observers, density=histogram, splits=20, seed=0)
        for points in (together, anywhere)
    )
    assert alike > 0.95
    assert abs(unlike) < 0.3


def test_two_observers_are_split_in_the_one_way_there_is() -> None:
    points, observers = np.random.default_rng(0).integers(0, 24, (30, 2)), np.arange(30) % 2
    one, other = histogram(points[::2]), histogram(points[1::2])
    expected = stats.pearsonr(one.ravel(), other.ravel()).statistic
    for seed in range(3):
        result = split_half_cc(points, observers, density=histogram, splits=4, seed=seed)
        assert result == pytest.approx(expected)


def test_halves_part_observers_and_not_their_points() -> None:
    halves: list[set[int]] = []

    def recorded(points: np.ndarray) -> np.ndarray:
        halves.append(set(points[:, 0].tolist()))
        return histogram(points)

    observers = np.repeat(np.arange(15), 3)
    points = np.stack([observers, np.tile([0, 10, 20], 15)], axis=1)  # row tells who
    split_half_cc(points, observers, density=recorded, splits=5, seed=0)
    for one, other in zip(halves[::2], halves[1::2]):
        assert len(one) == 7 and len(other) == 8
        assert one | other == set(range(15))
    assert len({frozenset(one) for one in halves[::2]}) > 1


def test_one_observer_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="1 observers"):
        split_half_cc(
            np.zeros((4, 2), dtype=int),
            np.zeros(4, dtype=int),
            density=histogram,
            splits=1,
            seed=0,
        )
