import shutil

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from attnlabels.bottleneck.sets import read_folders, read_set, read_stl10, read_svhn

RNG = np.random.default_rng(0)


def test_svhn_is_read_as_published_and_ten_is_the_digit_zero(tmp_path):
    images = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    labels = np.array([[1], [10], [9], [10]], np.uint8)
    savemat(tmp_path / "test_32x32.mat", {"X": images.transpose(1, 2, 3, 0), "y": labels})
    found, classes = read_set("svhn", tmp_path, split="test")
    assert (found == images).all() and classes.tolist() == [1, 0, 9, 0]


def test_stl10_is_read_as_published(tmp_path):
    images = RNG.integers(0, 256, (2, 96, 96, 3), np.uint8)
    images.transpose(0, 3, 2, 1).tofile(tmp_path / "train_X.bin")
    np.array([1, 10], np.uint8).tofile(tmp_path / "train_y.bin")
    found, classes = read_set("stl10", tmp_path, split="train")
    assert (found == images).all() and classes.tolist() == [0, 9]


def test_what_is_not_there_or_not_whole_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train_32x32\.mat: no MAT file here"):
        read_svhn(tmp_path, "train")
    with pytest.raises(FileNotFoundError, match=r"train_X\.bin: not here; unpack stl10_binary"):
        read_stl10(tmp_path, "train")
    savemat(tmp_path / "train_32x32.mat", {"X": np.zeros((32, 32, 3, 2), np.uint8), "y": [1]})
    with pytest.raises(ValueError, match=r"train_32x32\.mat: no images X .* fetch SVHN again"):
        read_svhn(tmp_path, "train")
    np.zeros(96 * 96 * 3 - 1, np.uint8).tofile(tmp_path / "train_X.bin")
    np.array([1], np.uint8).tofile(tmp_path / "train_y.bin")
    with pytest.raises(ValueError, match=r"train_X\.bin: 27647 bytes for 1 labels, expected 27648"):
        read_stl10(tmp_path, "train")


def test_a_label_that_is_none_is_named(tmp_path):
    np.zeros(96 * 96 * 3, np.uint8).tofile(tmp_path / "train_X.bin")
    np.array([11], np.uint8).tofile(tmp_path / "train_y.bin")
    with pytest.raises(ValueError, match=r"train_y\.bin: labels from 11 to 11, expected 1 to 10"):
        read_stl10(tmp_path, "train")


def write_png(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1])


def test_class_folders_are_read_in_the_order_of_their_names(tmp_path):
    images = RNG.integers(0, 256, (3, 8, 6, 3), np.uint8)
    for name, image in zip(("b/1", "a/2", "b/0"), images):
        write_png(tmp_path / "test" / f"{name}.png", image)
        write_png(tmp_path / "train" / f"{name}.png", image)
    found, classes = read_set("folders", tmp_path, split="test")
    assert (found == images[[1, 2, 0]]).all() and classes.tolist() == [0, 1, 1]
    (tmp_path / "test").rename(tmp_path / "val")
    found, _ = read_set("folders", tmp_path, split="test")
    assert (found == images[[1, 2, 0]]).all()


def test_class_folders_of_one_split_alone_would_shift_the_labels_and_are_named(tmp_path):
    for name in ("train/a", "train/b", "test/b", "test/c"):
        write_png(tmp_path / name / "0.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match="the class folders a, c are in one of train and test"):
        read_folders(tmp_path, "test")
    for name in ("train/a", "test/c"):
        shutil.rmtree(tmp_path / name)
    assert read_folders(tmp_path, "test")[1].tolist() == [0]


def test_class_folders_of_several_sizes_or_of_none_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="train: no such folder; put the class folders"):
        read_folders(tmp_path, "train")
    write_png(tmp_path / "train/a/0.png", np.zeros((8, 8, 3), np.uint8))
    write_png(tmp_path / "train/a/1.png", np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a/1\.png: 9 x 8 px, where 0\.png has 8 x 8; resize"):
        read_folders(tmp_path, "train")
