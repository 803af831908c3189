import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_info, threadpool_limits

from attnlabels.metrics import linear_probe


def blobs(n, n_classes, *, d=4, seed=0):
    """Overlapping clouds, the features of very unequal scale and mean."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    centres = np.random.default_rng(99).normal(size=(n_classes, d))
    x = (centres[y] + rng.normal(size=(n, d))) * 10.0 ** -np.arange(d) + 3
    return x.astype(np.float32), y


def part(x, y, *, mean=0.0, scale=1.0):
    """All rows, by default as they are."""
    d = x.shape[1]
    return linear_probe.Part(
        x.astype(np.float16), y, np.full(d, mean), np.full(d, scale), np.arange(len(x))
    )


def standardised(x, y):
    x = x.astype(np.float16)
    return linear_probe.Part(x, y, *linear_probe.moments(x), np.arange(len(x)))


def fit(part, *, start=None, **changed):
    values = {"l2": 0.05, "tolerance": 1e-7, "maximum_iterations": 1000}
    start = np.zeros((3, part.x.shape[1] + 1)) if start is None else start
    return linear_probe.fit(part, start, **(values | changed))


def test_the_minimum_is_that_of_sklearn_at_the_same_objective():
    fitted = standardised(*blobs(200, 3))
    theta = fit(fitted)
    [(x, y)] = fitted.blocks()
    # sklearn minimises ½‖w‖² + C · Σ loss, so C = 1 / (l2 · n)
    oracle = LogisticRegression(C=1 / (0.05 * len(x)), tol=1e-10, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(theta[:, :-1], oracle.coef_, atol=1e-5)
    # biases are fixed only up to one constant
    np.testing.assert_allclose(np.ptp(theta[:, -1] - oracle.intercept_), 0, atol=1e-5)


def test_the_start_changes_no_more_than_the_tolerance():
    fitted = standardised(*blobs(200, 3))
    start = np.random.default_rng(0).normal(size=(3, 5))
    cold, warm = fit(fitted), fit(fitted, start=start)
    np.testing.assert_allclose(warm[:, :-1], cold[:, :-1], atol=1e-5)


def test_moments_and_blocks_are_those_of_the_whole_standardised(monkeypatch):
    monkeypatch.setattr(linear_probe, "BLOCK", 7)
    x, y = blobs(50, 3)
    x = x.astype(np.float16)
    mean, scale = linear_probe.moments(x)
    np.testing.assert_allclose(mean, x.astype(float).mean(axis=0))
    np.testing.assert_allclose(scale, x.astype(float).std(axis=0))
    rows = np.arange(1, 50, 2)
    some = linear_probe.Part(x, y, mean, scale, rows)
    found, classes = (np.concatenate(each) for each in zip(*some.blocks()))
    np.testing.assert_allclose(found, (x[rows].astype(float) - mean) / scale)
    assert classes.tolist() == y[rows].tolist()


def test_the_gradient_is_that_of_finite_differences():
    whole = part(*blobs(20, 3))
    theta = np.random.default_rng(1).normal(size=(3, 5))
    _, gradient = linear_probe.objective(theta, whole, l2=0.3)
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = 1e-6
        above, _ = linear_probe.objective(theta + step, whole, l2=0.3)
        below, _ = linear_probe.objective(theta - step, whole, l2=0.3)
        assert gradient.reshape(theta.shape)[index] == pytest.approx(
            (above - below) / 2e-6, rel=1e-5, abs=1e-7
        )


def test_a_classifier_of_zeros_has_the_loss_log_k():
    loss, _ = linear_probe.objective(np.zeros((3, 5)), part(*blobs(20, 3)), l2=1.0)
    assert loss == pytest.approx(np.log(3))


def test_blocks_of_rows_change_nothing(monkeypatch):
    x, y = blobs(50, 3)
    theta = np.random.default_rng(1).normal(size=(3, 5))
    whole = linear_probe.objective(theta, part(x, y), l2=0.1)
    hits = linear_probe.accuracy(part(x, y), theta, k=1)
    monkeypatch.setattr(linear_probe, "BLOCK", 7)
    blocks = linear_probe.objective(theta, part(x, y), l2=0.1)
    assert blocks[0] == pytest.approx(whole[0])
    np.testing.assert_allclose(blocks[1], whole[1])
    assert linear_probe.accuracy(part(x, y), theta, k=1) == hits


def test_a_small_part_is_converted_once_and_a_large_one_at_each_pass(monkeypatch):
    theta = np.random.default_rng(1).normal(size=(3, 5))
    small, large = part(*blobs(50, 3)), part(*blobs(50, 3))
    kept = linear_probe.objective(theta, small, l2=0.1)
    monkeypatch.setattr(linear_probe, "KEPT", 50 * 4 - 1)
    converted = linear_probe.objective(theta, large, l2=0.1)
    assert converted[0] == kept[0] and (converted[1] == kept[1]).all()
    small.x[:], large.x[:] = 0, 0
    assert linear_probe.objective(theta, large, l2=0.1)[0] != kept[0]
    monkeypatch.setattr(linear_probe, "KEPT", 50 * 4)
    assert linear_probe.objective(theta, small, l2=0.1)[0] == kept[0]


def test_while_a_probe_is_fitted_scipys_blas_has_one_thread_and_numpys_those_it_had(monkeypatch):
    plain, seen = linear_probe.objective, []

    def threads():
        pools = {each["filepath"]: each["num_threads"] for each in threadpool_info()}
        scipys = [path for path in pools if "scipy.libs" in path]
        if not scipys:
            pytest.skip("this SciPy brings no BLAS of its own")
        return {pools.pop(path) for path in scipys}, {*pools.values()}

    def objective(*args, **options):
        seen.append(threads())
        return plain(*args, **options)

    monkeypatch.setattr(linear_probe, "objective", objective)
    with threadpool_limits(3):
        fit(part(*blobs(50, 3)), tolerance=1e-3)
        assert threads() == ({3}, {3})
    assert seen and all(each == ({1}, {3}) for each in seen)


def test_a_fit_that_does_not_converge_is_an_error():
    with pytest.raises(ValueError, match=r"l2 = 0\.05 stopped after 2 iterations.*maximum_iter"):
        fit(part(*blobs(50, 3)), maximum_iterations=2)


def test_features_that_are_not_finite_make_no_probe():
    x, y = blobs(60, 3)
    x[5, 1] = np.nan
    given = {"development": 0.2, "tolerance": 1e-4, "maximum_iterations": 200, "seed": 0}
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="gradient of nan"):
        linear_probe.choose_probe(x, y, l2_times_n=[1.0, 10.0], **given)


def test_a_hit_is_a_class_among_the_k_largest_logits():
    z = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3]])
    hits = linear_probe.among_largest(z, np.array([0, 1, 0]), k=1)
    assert hits.tolist() == [True, False, False]
    hits = linear_probe.among_largest(z, np.array([0, 1, 0]), k=2)
    assert hits.tolist() == [True, True, False]


def test_equal_logits_are_not_a_full_score():
    assert linear_probe.among_largest(np.zeros((4, 4)), np.arange(4), k=1).sum() == 1


def test_a_class_never_trained_on_is_refused():
    with pytest.raises(ValueError, match="class 3, but the training images end at class 2"):
        linear_probe.among_largest(np.zeros((2, 3)), np.array([0, 3]), k=1)


def test_the_two_parts_share_no_row_and_miss_none():
    held_out, rest = linear_probe.split(10, 0.3, seed=0)
    assert len(held_out) == 3 and sorted([*held_out, *rest]) == list(range(10))
    assert linear_probe.split(10, 0.3, seed=0)[0].tolist() == held_out.tolist()
    assert linear_probe.split(10, 0.3, seed=1)[0].tolist() != held_out.tolist()


def test_an_empty_development_part_is_refused():
    with pytest.raises(ValueError, match=r"development = 0\.01 leaves 0 of 10"):
        linear_probe.split(10, 0.01, seed=0)


def test_the_penalty_that_does_best_on_the_development_part_is_chosen():
    x, y = blobs(300, 3)
    x = x.astype(np.float16)
    values = {"development": 0.3, "tolerance": 1e-6, "maximum_iterations": 1000, "seed": 0}
    chosen = linear_probe.choose_probe(x, y, l2_times_n=(30000.0, 300.0, 3.0), **values)
    alone = [
        linear_probe.choose_probe(x, y, l2_times_n=(each,), **values) for each in (30000.0, 3.0)
    ]
    best = max(alone, key=lambda each: each.development_top1)
    assert best is alone[1] and chosen.l2 == 0.01
    assert chosen.development_top1 == best.development_top1
    np.testing.assert_allclose(chosen.weight, best.weight, rtol=1e-2, atol=1e-3)


def correlated(n=600, n_classes=5, d=32):
    """What tells the classes apart has little variance: a weak penalty is best, 0.001."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    z = np.geomspace(1, 0.05, d) * rng.normal(size=(n, d))
    z += 0.1 * rng.normal(size=(n_classes, d))[y]
    y = np.where(rng.random(n) < 0.3, rng.integers(0, n_classes, n), y)
    return (z @ rng.normal(size=(d, d))).astype(np.float16), y


def mislabelled(n=300, d=60):
    """Many features, few images, wrong labels: a strong penalty is best, 1."""
    rng = np.random.default_rng(0)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, d)) + 0.4 * rng.normal(size=(2, d))[y]
    return x.astype(np.float16), np.where(rng.random(n) < 0.3, 1 - y, y)


@pytest.mark.parametrize(
    ("data", "grid", "development", "best", "gain"),
    [(correlated, (1.0, 0.1), 0.3, 0.001, 0.1), (mislabelled, (0.01, 0.001), 0.7, 1.0, 0.05)],
)
def test_the_search_goes_on_where_an_end_is_best(data, grid, development, best, gain):
    x, y = data()
    values = {"development": development, "tolerance": 1e-4, "maximum_iterations": 1000, "seed": 0}
    times_n = [each * len(x) for each in grid]
    found = linear_probe.choose_probe(x, y, l2_times_n=times_n, **values)
    assert found.l2 == pytest.approx(best)
    assert found.warning is None and found.score(x, y)["l2_at_end"] == 0
    of_grid = [linear_probe.choose_probe(x, y, l2_times_n=(each,), **values) for each in times_n]
    assert found.development_top1 > max(each.development_top1 for each in of_grid) + gain


def test_an_end_that_cannot_be_gone_beyond_is_told(monkeypatch):
    x, y = correlated()
    values = {"development": 0.3, "tolerance": 1e-4, "seed": 0, "l2_times_n": (600.0, 60.0)}
    monkeypatch.setattr(linear_probe, "LEAST_L2", 0.05)
    ended = linear_probe.choose_probe(x, y, maximum_iterations=1000, **values)
    assert ended.l2 == pytest.approx(0.05) and ended.score(x, y)["l2_at_end"] == 1
    assert ended.warning == (
        "the best l2, 0.05, is the last that was tried, and a better one may lie beyond: "
        "the search ends at 0.05"
    )
    monkeypatch.undo()
    stopped = linear_probe.choose_probe(x, y, maximum_iterations=60, **values)
    assert stopped.score(x, y)["l2_at_end"] == 1
    assert "stopped after 60 iterations" in str(stopped.warning)


def test_what_is_tried_follows_the_number_of_images():
    x, y = blobs(300, 3)
    values = {"development": 0.3, "tolerance": 1e-6, "maximum_iterations": 1000, "seed": 0}
    few, many = (
        linear_probe.choose_probe(
            np.tile(x.astype(np.float16), (n, 1)), np.tile(y, n), l2_times_n=(3.0,), **values
        )
        for n in (1, 10)
    )
    assert few.l2 == pytest.approx(0.01) and many.l2 == pytest.approx(0.001)


def test_a_classifier_of_raw_features_scores_them_as_the_probe_does():
    x, y = blobs(200, 8)
    x = x.astype(np.float16)
    probe = linear_probe.choose_probe(
        x, y, l2_times_n=(20.0,), development=0.2, tolerance=1e-4, maximum_iterations=500, seed=0
    )
    scored = probe.score(x, y)
    assert linear_probe.top1(x, y, weight=probe.weight, bias=probe.bias) == scored["top1"]
    assert list(scored) == ["l2", "l2_at_end", "development_top1", "n", "top1", "top5"]


def test_a_classifier_of_other_features_is_refused():
    with pytest.raises(ValueError, match="have 2 dimensions, the classifier takes 3"):
        linear_probe.top1(
            np.ones((1, 2), np.float16), np.array([0]), weight=np.eye(3), bias=np.zeros(3)
        )


def test_where_all_images_do_not_converge_a_stronger_penalty_is_taken_and_that_is_told(monkeypatch):
    x, y = blobs(300, 3)
    values = {"development": 0.3, "tolerance": 1e-6, "maximum_iterations": 1000, "seed": 0}
    converging = linear_probe.fit

    def of_all_images_none_below(part, start, *, l2, **limits):
        if len(part) == len(x) and l2 < 0.02:
            raise linear_probe.CannotTry("too weak for all")
        return converging(part, start, l2=l2, **limits)

    monkeypatch.setattr(linear_probe, "fit", of_all_images_none_below)
    grid = {"l2_times_n": (30000.0, 30.0, 3.0)}
    probe = linear_probe.choose_probe(x.astype(np.float16), y, **grid, **values)
    assert probe.l2 == pytest.approx(0.1) and str(probe.warning).endswith(
        "beyond: too weak for all"
    )
