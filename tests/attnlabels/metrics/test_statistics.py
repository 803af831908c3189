import numpy as np
import pytest
from scipy import stats

from attnlabels.metrics import statistics
from attnlabels.metrics.statistics import (
    bootstrap_interval,
    fewest_for_bootstrap,
    holm,
    mean_se,
    one_sample_t,
    paired_equivalence,
    paired_t,
    spearman_brown,
    split_half_cc,
    t_interval,
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


def test_equivalence_is_the_larger_of_scipys_two_one_sided_tests() -> None:
    a, b = sample(0, 30, mean=0.1), sample(1, 30)
    low = stats.ttest_1samp(a - b, -0.5, alternative="greater").pvalue
    high = stats.ttest_1samp(a - b, 0.5, alternative="less").pvalue
    result = paired_equivalence(a, b, margin=0.5)
    assert result.p == pytest.approx(max(low, high))
    assert (result.n, result.difference) == (30, pytest.approx((a - b).mean()))
    assert result.se == pytest.approx(stats.sem(a - b))
    assert paired_equivalence(b, a, margin=0.5).p == pytest.approx(result.p)


def test_equivalence_worked_by_hand() -> None:
    # Differences 0 and 2: mean 1, se 1. A margin of 2 is one se away, at a quarter of a Cauchy
    # variable; one of 1 is at the difference itself.
    a, b = np.array([1.0, 3.0]), np.array([1.0, 1.0])
    assert paired_equivalence(a, b, margin=2.0) == (2, 1.0, 1.0, pytest.approx(0.25))
    assert paired_equivalence(a, b, margin=1.0).p == pytest.approx(0.5)


@pytest.mark.parametrize("margin", [0.3, 0.5])  # without and with equivalence
def test_samples_are_equivalent_where_the_interval_is_within_the_margin(margin: float) -> None:
    a, b = sample(0, 30, mean=0.1), sample(2, 30)
    interval, result = t_interval(a - b, level=0.9), paired_equivalence(a, b, margin=margin)
    assert interval is not None and result.p is not None
    within = -margin < interval.low and interval.high < margin
    assert within == (result.p < 0.05) == (margin == 0.5)


def test_what_cannot_be_told_of_equivalence_is_none() -> None:
    one, equal = np.array([0.4]), np.full(3, 0.1)
    assert paired_equivalence(one, one, margin=0.1) == (1, 0.0, None, None)
    assert paired_equivalence(equal, equal, margin=0.1) == (3, 0.0, 0.0, None)
    with pytest.raises(ValueError, match="the margin is 0"):
        paired_equivalence(equal, equal, margin=0.0)


def test_holm_worked_by_hand() -> None:
    # 5 × 0.01, 4 × 0.011 raised to the one before, 3 × 0.02 and so on; the last is held at 1
    ps = [0.02, 0.011, 0.01, 0.9, 0.6]
    assert holm(ps) == pytest.approx([0.06, 0.05, 0.05, 1.0, 1.0])


def test_what_was_not_tested_is_not_counted_by_holm() -> None:
    assert holm([None, 0.01, None, 0.02]) == [None, 0.02, None, 0.02]
    assert holm([None]) == [None] and holm([]) == []


def test_holm_rejects_what_its_steps_reject() -> None:
    ps = np.random.default_rng(0).uniform(0, 0.05, 20)
    corrected = holm(ps.tolist())
    rejected = set()
    for step, i in enumerate(np.argsort(ps)):  # from the smallest on, up to the first failure
        if ps[i] > 0.05 / (20 - step):
            break
        rejected.add(i)
    assert 0 < len(rejected) < 20
    assert rejected == {i for i, p in enumerate(corrected) if p is not None and p <= 0.05}


def test_t_interval_equals_scipys() -> None:
    values = sample(0, 12, mean=0.3)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(0.9)
    assert t_interval(values, level=0.9) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("values", [[0.4], [0.1, 0.1, 0.1]])
def test_values_without_spread_have_no_interval(values: list[float]) -> None:
    assert t_interval(np.array(values), level=0.9) is None
    assert bootstrap_interval(np.array(values), level=0.5, resamples=100, seed=0) is None


@pytest.mark.parametrize("n", [12, 40])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bootstrap_agrees_with_scipys_on_skewed_values(n: int, level: float) -> None:
    values = np.random.default_rng(n).exponential(size=n)
    interval = bootstrap_interval(values, level=level, resamples=100_000, seed=0)
    expected = stats.bootstrap(
        [values],
        np.mean,
        n_resamples=100_000,
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = expected.high - expected.low
    assert interval == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    intervals = [
        bootstrap_interval(draw.normal(2.0, 1.0, 40), level=0.8, resamples=300, seed=seed)
        for seed in range(300)
    ]
    covered = np.mean([each is not None and each.low < 2.0 < each.high for each in intervals])
    assert covered == pytest.approx(0.8, abs=0.07)  # three standard errors


def test_bootstrap_of_symmetric_values_is_near_the_t_interval() -> None:
    values = sample(0, 400)
    interval = bootstrap_interval(values, level=0.9, resamples=5000, seed=0)
    assert interval == pytest.approx(t_interval(values, level=0.9), abs=0.01)


@pytest.mark.parametrize("fewest, level", [(6, 0.95), (5, 0.9), (3, 0.75), (2, 0.5)])
def test_bootstrap_of_too_few_values_is_none(fewest: int, level: float) -> None:
    assert fewest_for_bootstrap(level) == fewest  # 2^-5 = 0.03, 2^-4 = 0.06, 2^-2, 2^-1
    few, enough = sample(0, fewest - 1), sample(0, fewest)
    assert bootstrap_interval(few, level=level, resamples=100, seed=0) is None
    assert bootstrap_interval(enough, level=level, resamples=100, seed=0) is not None


def test_the_range_of_few_values_misses_their_middle_as_often_as_is_said() -> None:
    samples = np.random.default_rng(0).normal(size=(20_000, 5))
    missed = (samples.min(axis=1) > 0) | (samples.max(axis=1) < 0)
    assert missed.mean() == pytest.approx(2**-4, abs=0.005)  # three standard errors


def test_bootstrap_is_fixed_by_its_seed() -> None:
    values = sample(0, 30)
    one, again, other = (
        bootstrap_interval(values, level=0.95, resamples=200, seed=seed) for seed in (1, 1, 2)
    )
    assert one is not None and one == again != other
    assert one.low < values.mean() < one.high


def test_bootstrap_does_not_depend_on_how_many_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = sample(0, 30)
    whole = bootstrap_interval(values, level=0.95, resamples=200, seed=0)
    monkeypatch.setattr(statistics, "DRAWN_AT_ONCE", 90)
    assert bootstrap_interval(values, level=0.95, resamples=200, seed=0) == pytest.approx(whole)


def test_spearman_brown_worked_by_hand() -> None:
    assert spearman_brown(0.5) == pytest.approx(2 / 3)
    assert spearman_brown(1.0) == 1
    assert spearman_brown(0.883) == pytest.approx(0.938, abs=1e-3)  # OSIE, eye tracking


@pytest.mark.parametrize("r", [0.0, -0.5, -1.0])
def test_what_shares_nothing_is_not_corrected(r: float) -> None:
    assert spearman_brown(r) == r and spearman_brown(r, 9) == r


def test_differences_that_are_only_of_rounding_are_none() -> None:
    a, b = np.array([0.1 + 0.2, 0.5, 0.7]), np.array([0.3, 0.5, 0.7])
    assert (a != b).any()
    found = paired_t(a, b)
    assert (found.difference, found.se, found.p) == (0, 0, None)
    assert paired_equivalence(a, b, margin=0.1).p is None
    assert paired_t(a, b - [1e-9, 0, 0]).p is not None


def test_spearman_brown_of_several_times_as_much_is_that_of_steps() -> None:
    assert spearman_brown(0.4, 1) == pytest.approx(0.4)
    assert spearman_brown(0.4, 2) == pytest.approx(spearman_brown(0.4))
    assert spearman_brown(spearman_brown(0.3, 2), 3) == pytest.approx(spearman_brown(0.3, 6))


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
