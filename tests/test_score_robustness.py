import json

import numpy as np
import pytest

import score_robustness
from attnlabels.testsets.corruptions import CORRUPTIONS, EXTRA

LABELS = np.array([0, 1] * 5)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Ten images that the classifier knows by their larger feature, one of them wrong when clean.

    Severity s spoils s + 1 images of the standard corruptions; the extra ones spoil nothing more.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("threads: 1\n")
    x = np.eye(2)[LABELS]
    for clean, corrupted, generated in (
        ("imagenet_val", "imagenet_c", 0),
        ("cifar10_test", "cifar10_c", 1),
    ):
        write(tmp_path / clean, "features", spoil(x, 1))
        np.save(tmp_path / clean / "labels.npy", LABELS)
        for corruption in CORRUPTIONS:
            for severity in range(1, 6):
                write(tmp_path / corrupted, f"{corruption}-{severity}", spoil(x, severity + 1))
        for corruption in EXTRA:
            for severity in range(1, 6):
                write(tmp_path / corrupted, f"{corruption}-{severity}", spoil(x, 1))
        np.save(tmp_path / corrupted / "labels.npy", LABELS)
        (tmp_path / corrupted / "set.json").write_text(
            json.dumps({"generated": generated, "corruptions": [*CORRUPTIONS, *EXTRA]})
        )
    identity = {"weight": np.eye(2), "bias": np.zeros(2)}
    np.savez(
        tmp_path / "classifier.npz",
        **{f"{key}_{part}": identity[part] for key in ("imagenet", "cifar10") for part in identity},
    )
    return tmp_path


def write(folder, name, x):
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{name}.npy", x.astype(np.float16))


def spoil(x, n):
    """The first `n` images look like the other class."""
    return np.concatenate([x[:n, ::-1], x[n:]])


def score(world):
    score_robustness.main("contrastive", 0, world, world / "classifier.npz", world / "report.json")
    report = json.loads((world / "report.json").read_text())
    assert report.pop("made_by")["threads"] == 1
    return report


def test_scores_are_those_counted_by_hand(world):
    scores = score(world)["cifar10_c"]
    fog = {"mean": 0.6, "1": 0.8, "2": 0.7, "3": 0.6, "4": 0.5, "5": 0.4}
    assert scores["fog"] == pytest.approx(fog)
    assert scores["spatter"]["mean"] == pytest.approx(0.9)
    assert scores["clean"] == pytest.approx(0.9)
    assert scores["mean"] == pytest.approx(0.6)  # of the 15: the extra ones are left out
    assert scores["mean_extra"] == pytest.approx(0.9)
    assert scores["retained"] == pytest.approx(0.6 / 0.9)


def test_mce_is_of_published_images_in_imagenets_own_classes_alone(world):
    assert not {"mce", "relative_mce"} & {key for each in score(world).values() for key in each}
    for name in ("imagenet_c", "cifar10_c"):  # the latter is generated
        path = world / name / "set.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "of_imagenet": 1}))
    scores = score(world)
    assert {"mce", "relative_mce"} <= scores["imagenet_c"].keys()
    assert not {"mce", "relative_mce"} & scores["cifar10_c"].keys()


def test_every_corruption_has_its_own_key(world):
    for scores in score(world).values():
        overall = {"generated", "clean", "mean", "mean_extra", "retained"}
        assert scores.keys() == overall | {*CORRUPTIONS, *EXTRA}


def test_generated_corruptions_are_told_from_published_ones(world):
    scores = score(world)
    assert scores["imagenet_c"]["generated"] == 0 and scores["cifar10_c"]["generated"] == 1


def test_what_the_set_lacks_of_the_extra_corruptions_is_left_out(world):
    before = score(world)
    for name in EXTRA:
        for severity in range(1, 6):
            (world / f"imagenet_c/{name}-{severity}.npy").unlink()
    about = {"generated": 0, "corruptions": CORRUPTIONS}
    (world / "imagenet_c/set.json").write_text(json.dumps(about))
    scores = score(world)
    lacking = before["imagenet_c"].keys() - scores["imagenet_c"].keys()
    assert lacking == {"mean_extra", *EXTRA}
    assert scores["imagenet_c"]["mean"] == before["imagenet_c"]["mean"]
    assert scores["cifar10_c"] == before["cifar10_c"]


def test_a_missing_corruption_is_named(world):
    (world / "imagenet_c/fog-3.npy").unlink()
    with pytest.raises(FileNotFoundError, match="imagenet_c/fog-3.npy is missing"):
        score(world)
    assert not (world / "report.json").exists()


def test_features_that_are_not_finite_are_refused(world):
    write(world / "imagenet_c", "fog-3", np.full((10, 2), np.nan))
    with pytest.raises(ValueError, match="fog-3.npy: 10 of 10 rows are not finite"):
        score(world)


def test_corrupted_images_of_another_order_are_refused(world):
    np.save(world / "cifar10_c/labels.npy", 1 - LABELS)
    with pytest.raises(ValueError, match="not the clean ones in the same order"):
        score(world)


def test_a_row_too_few_is_refused(world):
    write(world / "imagenet_c", "fog-3", np.eye(2)[LABELS[:9]])
    with pytest.raises(ValueError, match="fog-3.npy holds 9 rows but .* labels of shape"):
        score(world)


def test_a_classifier_of_other_features_is_refused(world):
    identity = np.eye(3)
    one = {"weight": identity, "bias": identity[0]}
    both = {f"{key}_{each}": one[each] for key in score_robustness.SETS for each in one}
    np.savez(world / "classifier.npz", **both)
    with pytest.raises(ValueError, match="have 2 dimensions, the classifier takes 3"):
        score(world)


def test_a_file_without_the_classifier_of_a_set_is_refused_by_its_name(world):
    np.savez(world / "classifier.npz", imagenet_weight=np.eye(2), imagenet_bias=np.ones(2))
    message = r"classifier\.npz: no whole classifiers .*cifar10_weight.*run the stage probe_linear"
    with pytest.raises(ValueError, match=message):
        score(world)


def test_a_missing_classifier_names_the_stage(world):
    (world / "classifier.npz").unlink()
    with pytest.raises(FileNotFoundError, match="run the stage probe_linear"):
        score(world)
