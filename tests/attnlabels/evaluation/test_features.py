import numpy as np
import pytest

from attnlabels.evaluation import features
from attnlabels.evaluation.features import read_features, require_same_images


def write(folder, x, labels):
    np.save(folder / "features.npy", np.asarray(x, dtype=np.float16))
    np.save(folder / "labels.npy", np.asarray(labels, dtype=np.int64))


def test_features_are_mapped_from_their_file_beside_their_labels(tmp_path):
    write(tmp_path, [[0.5, 2], [1, -3]], [1, 0])
    x, labels = read_features(tmp_path)
    assert isinstance(x, np.memmap) and not x.flags.writeable
    assert x.dtype == np.float16 and x.tolist() == [[0.5, 2], [1, -3]]
    assert labels.dtype == np.int64 and labels.tolist() == [1, 0]


def test_another_name_reads_another_corruption_of_the_same_images(tmp_path):
    write(tmp_path, [[1.0]], [3])
    np.save(tmp_path / "fog-2.npy", np.float16([[7.0]]))
    x, labels = read_features(tmp_path, "fog-2")
    assert x.item() == 7 and labels.item() == 3


def test_a_missing_file_names_itself_and_the_stage(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"features\.npy is missing; .*extract_features"):
        read_features(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(features, "BLOCK", 2)
    write(tmp_path, [[0.0], [1.0], [bad]], [0, 1, 1])
    with pytest.raises(ValueError, match=r"features\.npy: 1 of 3 rows .* first is row 2"):
        read_features(tmp_path)


def test_features_of_another_type_are_refused(tmp_path):
    write(tmp_path, [[0.0]], [0])
    np.save(tmp_path / "features.npy", np.zeros((1, 1), np.int64))
    with pytest.raises(ValueError, match=r"is int64 \(1, 1\), expected float16 or float32"):
        read_features(tmp_path)


def test_one_label_too_few_is_refused(tmp_path):
    write(tmp_path, [[0.0], [1.0], [2.0]], [0, 1])
    with pytest.raises(ValueError, match=r"holds 3 rows but .*labels\.npy holds .*\(2,\)"):
        read_features(tmp_path)


def test_an_unlabelled_image_is_refused(tmp_path):
    write(tmp_path, [[0.0], [1.0]], [0, -1])
    with pytest.raises(ValueError, match="holds the class -1"):
        read_features(tmp_path)


@pytest.mark.parametrize("shape", [(4,), (0, 3)])
def test_features_that_are_not_rows_of_images_are_refused(tmp_path, shape):
    write(tmp_path, np.zeros(shape), np.zeros(shape[0]))
    with pytest.raises(ValueError, match=r"float32 \[n, d\]"):
        read_features(tmp_path)


def test_corrupted_images_in_another_order_are_refused(tmp_path):
    for name, labels in (("clean", [0, 1, 2]), ("same", [0, 1, 2]), ("moved", [0, 2, 1])):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "labels.npy", labels)
    require_same_images(tmp_path / "clean", tmp_path / "same")
    with pytest.raises(ValueError, match=r"moved/labels\.npy differs from .*clean/labels\.npy"):
        require_same_images(tmp_path / "clean", tmp_path / "moved")
