import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import probe_linear

PARAMS = """
probe_linear:
  l2: [0.001, 0.1]
  development: 0.25
  tolerance: 1.0e-5
  maximum_iterations: 500
  threads: 1
"""


def blobs(n, n_classes, *, d=4, seed=0):
    """Overlapping clouds, the features of very unequal scale and mean."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    centres = np.random.default_rng(99).normal(size=(n_classes, d))
    x = (centres[y] + rng.normal(size=(n, d))) * 10.0 ** -np.arange(d) + 3
    return x.astype(np.float32), y


def write(folder, x, y):
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "features.npy", x.astype(np.float16))
    np.save(folder / "labels.npy", y)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Features of both sets: eight classes stand for ImageNet, three for CIFAR-10."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for names, n_classes in (("imagenet_train imagenet_val", 8), ("cifar10_train cifar10_test", 3)):
        for seed, name in enumerate(names.split()):
            write(tmp_path / name, *blobs(120, n_classes, seed=seed))
    return tmp_path


def probe(world, *, name="contrastive", seed=0):
    probe_linear.main(name, seed, world, world / "classifier.npz", world / "report.json")
    with np.load(world / "classifier.npz") as classifier:
        return json.loads((world / "report.json").read_text()), dict(classifier)


def part(x, y, *, mean=0.0, scale=1.0):
    """All rows, by default as they are."""
    d = x.shape[1]
    return probe_linear.Part(
        x.astype(np.float16), y, np.full(d, mean), np.full(d, scale), np.arange(len(x))
    )


def standardised(x, y):
    x = x.astype(np.float16)
    return probe_linear.Part(x, y, *probe_linear.moments(x), np.arange(len(x)))


def fit(part, *, start=None, **changed):
    values = {"l2": 0.05, "tolerance": 1e-7, "maximum_iterations": 1000}
    start = np.zeros((3, part.x.shape[1] + 1)) if start is None else start
    return probe_linear.fit(part, start, **(values | changed))


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
    monkeypatch.setattr(probe_linear, "BLOCK", 7)
    x, y = blobs(50, 3)
    x = x.astype(np.float16)
    mean, scale = probe_linear.moments(x)
    np.testing.assert_allclose(mean, x.astype(float).mean(axis=0))
    np.testing.assert_allclose(scale, x.astype(float).std(axis=0))
    rows = np.arange(1, 50, 2)
    some = probe_linear.Part(x, y, mean, scale, rows)
    found, classes = (np.concatenate(each) for each in zip(*some.blocks()))
    np.testing.assert_allclose(found, (x[rows].astype(float) - mean) / scale)
    assert classes.tolist() == y[rows].tolist()


def test_the_gradient_is_that_of_finite_differences():
    whole = part(*blobs(20, 3))
    theta = np.random.default_rng(1).normal(size=(3, 5))
    _, gradient = probe_linear.objective(theta, whole, l2=0.3)
    for index in np.ndindex(theta.shape):
        step = np.zeros_like(theta)
        step[index] = 1e-6
        above, _ = probe_linear.objective(theta + step, whole, l2=0.3)
        below, _ = probe_linear.objective(theta - step, whole, l2=0.3)
        assert gradient.reshape(theta.shape)[index] == pytest.approx(
            (above - below) / 2e-6, rel=1e-5, abs=1e-7
        )


def test_a_classifier_of_zeros_has_the_loss_log_k():
    loss, _ = probe_linear.objective(np.zeros((3, 5)), part(*blobs(20, 3)), l2=1.0)
    assert loss == pytest.approx(np.log(3))


def test_blocks_of_rows_change_nothing(monkeypatch):
    x, y = blobs(50, 3)
    theta = np.random.default_rng(1).normal(size=(3, 5))
    whole = probe_linear.objective(theta, part(x, y), l2=0.1)
    hits = probe_linear.accuracy(part(x, y), theta, k=1)
    monkeypatch.setattr(probe_linear, "BLOCK", 7)
    blocks = probe_linear.objective(theta, part(x, y), l2=0.1)
    assert blocks[0] == pytest.approx(whole[0])
    np.testing.assert_allclose(blocks[1], whole[1])
    assert probe_linear.accuracy(part(x, y), theta, k=1) == hits


def test_a_fit_that_does_not_converge_is_an_error():
    with pytest.raises(ValueError, match=r"l2 = 0\.05 stopped after 2 iterations.*maximum_iter"):
        fit(part(*blobs(50, 3)), maximum_iterations=2)


def test_a_hit_is_a_class_among_the_k_largest_logits():
    z = np.array([[3.0, 2, 1], [3, 2, 1], [1, 2, 3]])
    hits = probe_linear.among_largest(z, np.array([0, 1, 0]), k=1)
    assert hits.tolist() == [True, False, False]
    hits = probe_linear.among_largest(z, np.array([0, 1, 0]), k=2)
    assert hits.tolist() == [True, True, False]


def test_equal_logits_are_not_a_full_score():
    assert probe_linear.among_largest(np.zeros((4, 4)), np.arange(4), k=1).sum() == 1


def test_a_class_never_trained_on_is_refused():
    with pytest.raises(ValueError, match="class 3, but the training images end at class 2"):
        probe_linear.among_largest(np.zeros((2, 3)), np.array([0, 3]), k=1)


def test_the_two_parts_share_no_row_and_miss_none():
    held_out, rest = probe_linear.split(10, 0.3, seed=0)
    assert len(held_out) == 3 and sorted([*held_out, *rest]) == list(range(10))
    assert probe_linear.split(10, 0.3, seed=0)[0].tolist() == held_out.tolist()
    assert probe_linear.split(10, 0.3, seed=1)[0].tolist() != held_out.tolist()


def test_an_empty_development_part_is_refused():
    with pytest.raises(ValueError, match=r"development = 0\.01 leaves 0 of 10"):
        probe_linear.split(10, 0.01, seed=0)


def test_the_report_has_its_keys_and_beats_chance(world):
    scores, _ = probe(world)
    assert list(scores["imagenet"]) == ["l2", "development_top1", "n", "top1", "top5"]
    assert list(scores["cifar10"]) == ["l2", "development_top1", "n", "top1"]
    assert scores["imagenet"]["n"] == 120
    assert scores["imagenet"]["top1"] > 0.3 and scores["cifar10"]["top1"] > 0.5
    assert scores["imagenet"]["top5"] > scores["imagenet"]["top1"]


def test_the_classifier_scores_raw_features_as_reported(world):
    scores, classifier = probe(world)
    x = np.load(world / "imagenet_val/features.npy").astype(float)
    y = np.load(world / "imagenet_val/labels.npy")
    assert classifier["imagenet_weight"].shape == (8, 4)
    z = x @ classifier["imagenet_weight"].T + classifier["imagenet_bias"]
    assert (z.argmax(axis=1) == y).mean() == pytest.approx(scores["imagenet"]["top1"])


def test_the_test_images_do_not_move_the_classifier(world):
    scores, before = probe(world)
    write(world / "imagenet_val", *blobs(60, 8, seed=7))
    changed, after = probe(world)
    assert changed["imagenet"]["l2"] == scores["imagenet"]["l2"]
    assert (before["imagenet_weight"] == after["imagenet_weight"]).all()


def test_a_constant_feature_changes_nothing(world):
    _, before = probe(world)
    for name in ("imagenet_train", "imagenet_val"):
        x = np.load(world / name / "features.npy")
        np.save(world / name / "features.npy", np.pad(x, ((0, 0), (0, 1)), constant_values=2))
    _, after = probe(world)
    np.testing.assert_allclose(after["imagenet_weight"][:, :4], before["imagenet_weight"])
    assert (after["imagenet_weight"][:, 4] == 0).all()


def test_a_second_run_leaves_the_same_bytes(world):
    probe(world)
    first = (world / "classifier.npz").read_bytes()
    probe(world)
    assert (world / "classifier.npz").read_bytes() == first


def test_a_missing_set_is_named_and_nothing_is_left(world):
    (world / "cifar10_test/features.npy").unlink()
    with pytest.raises(FileNotFoundError, match="cifar10_test/features.npy is missing"):
        probe(world)
    assert not (world / "report.json").exists() and not (world / "classifier.npz").exists()
