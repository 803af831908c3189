import json

import numpy as np
import pytest

import probe_linear

PARAMS = """
threads: 1
probe_linear:
  l2_times_n: [0.12, 12]
  development: 0.25
  tolerance: 1.0e-5
  maximum_iterations: 500
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
        report = json.loads((world / "report.json").read_text())
        assert report.pop("made_by")["threads"] == 1
        return report, dict(classifier)


def test_the_report_has_its_keys_and_beats_chance(world):
    scores, _ = probe(world)
    assert list(scores["imagenet"]) == ["l2", "l2_at_end", "development_top1", "n", "top1", "top5"]
    assert list(scores["cifar10"]) == ["l2", "l2_at_end", "development_top1", "n", "top1"]
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
