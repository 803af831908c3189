import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnlabels.testsets.cifar10 import read_cifar10


def batch(k: int, **changes) -> dict:
    """Two images: the first red on its upper half, the second of one value everywhere."""
    data = np.full((2, 3072), k, np.uint8)
    data[0] = 0
    data[0, :512] = 250
    return {"batch_label": "x", "labels": [k, 9], "data": data} | changes


def write(folder: Path, protocol: int = 2, **changes) -> Path:
    """Official file names; the changes apply to data_batch_3."""
    folder.mkdir(exist_ok=True)
    for k in range(1, 6):
        content = batch(k, **(changes if k == 3 else {}))
        (folder / f"data_batch_{k}").write_bytes(pickle.dumps(content, protocol))
    (folder / "test_batch").write_bytes(pickle.dumps(batch(0), protocol))
    return folder


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_rows_are_planes_of_red_green_blue(tmp_path, protocol):
    images, labels = read_cifar10(write(tmp_path / "c", protocol), split="train")
    assert images.shape == (10, 32, 32, 3) and images.dtype == np.uint8
    assert labels.tolist() == [1, 9, 2, 9, 3, 9, 4, 9, 5, 9] and labels.dtype == np.int64
    assert (images[0, :16] == (250, 0, 0)).all() and (images[0, 16:] == 0).all()
    assert (images[9] == 5).all()


def test_keys_may_be_bytes_as_python_2_wrote_them(tmp_path):
    folder = write(tmp_path / "c")
    content = {key.encode(): value for key, value in batch(0).items()}
    (folder / "test_batch").write_bytes(pickle.dumps(content, 2))
    assert read_cifar10(folder, split="test")[1].tolist() == [0, 9]


def test_pickle_that_runs_code_is_refused_by_name(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    folder = write(tmp_path / "c", data=Bomb())
    with pytest.raises(ValueError, match=r"data_batch_3: .*asks for posix\.mkdir, .*fetch it"):
        read_cifar10(folder, split="train")
    assert not (tmp_path / "ran").exists()


def test_pickle_that_asks_for_more_memory_than_there_is_is_refused(tmp_path):
    class Huge:
        def __reduce__(self):
            return np.ndarray, ((1 << 60,), "u1")

    with pytest.raises(ValueError, match="data_batch_3: cut short or not CIFAR-10's"):
        read_cifar10(write(tmp_path / "c", data=Huge()), split="train")


def test_missing_batch_is_named(tmp_path):
    folder = write(tmp_path / "c")
    (folder / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match=r"data_batch_4: batch missing; unpack CIFAR-10's"):
        read_cifar10(folder, split="train")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": [3, 10]}, r"row 1 has the label 10, expected 0\.\.9; fetch"),
        ({"labels": [-1, 3]}, "row 0 has the label -1"),
        ({"labels": [3]}, r"labels are int64 \(1,\), expected .* each of 2 images; fetch"),
        ({"labels": [0.5, 1]}, "labels are float64"),
        ({"data": np.zeros((2, 1024), np.uint8)}, r"data is uint8 \(2, 1024\), expected uint8"),
        ({"data": np.zeros((2, 3072), np.int16)}, r"data is int16 \(2, 3072\), expected uint8"),
        ({"data": [1, 2]}, "data is <class 'list'>"),
    ],
)
def test_batch_that_does_not_fit_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=f"data_batch_3: {message}"):
        read_cifar10(write(tmp_path / "c", **changes), split="train")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps(batch(0))[:500], "cut short or not CIFAR-10's .*fetch it again"),
        (b"", "cut short or not CIFAR-10's"),
        (b"<html>", "test_batch: "),
        (pickle.dumps([1]), "holds a list; expected CIFAR-10's dictionary"),
        (pickle.dumps({"data": 1, "fine_labels": 1}), "has no `labels` .*take CIFAR-10"),
    ],
)
def test_file_that_is_no_batch_is_refused(tmp_path, data, message):
    folder = write(tmp_path / "c")
    (folder / "test_batch").write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        read_cifar10(folder, split="test")
    assert str(folder / "test_batch") in str(caught.value)


def test_keys_that_are_no_text_are_passed_over(tmp_path):
    folder = write(tmp_path / "c", **{"fine": 1})
    content = batch(0) | {3: "three", None: None, b"\xff\xfe": 1, ("a",): 2}
    (folder / "test_batch").write_bytes(pickle.dumps(content))
    assert read_cifar10(folder, split="test")[1].tolist() == [0, 9]
    (folder / "test_batch").write_bytes(pickle.dumps({3: 1, b"\xff": 2}))
    with pytest.raises(ValueError, match="test_batch: has no `data`"):
        read_cifar10(folder, split="test")


@pytest.mark.parametrize("labels", [[[1], [1, 2]], [np.zeros(2), np.zeros((2, 2))]])
def test_ragged_labels_are_refused_by_name(tmp_path, labels):
    with pytest.raises(ValueError, match="data_batch_3: labels are ragged"):
        read_cifar10(write(tmp_path / "c", labels=labels), split="train")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.integers(), each, max_size=2),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("fuzz") / "c")


def read_or_refuse(folder: Path, data: bytes) -> None:
    (folder / "test_batch").write_bytes(data)
    try:
        images, labels = read_cifar10(folder, split="test")
    except ValueError as error:
        assert str(error).startswith(f"{folder / 'test_batch'}: ") and "\n" not in str(error)
    else:
        assert len(images) == len(labels)


@given(key=st.sampled_from(["data", "labels"]), value=ANYTHING)
def test_a_batch_with_one_thing_wrong_is_read_or_refused_in_one_line(folder, key, value):
    read_or_refuse(folder, pickle.dumps(batch(0) | {key: value}))


@given(place=st.integers(0, 400), value=st.integers(0, 255))
def test_a_batch_with_one_byte_wrong_is_read_or_refused_in_one_line(folder, place, value):
    whole = bytearray(pickle.dumps(batch(0), 2))
    head = [i for i in range(len(whole)) if i < 200 or i > len(whole) - 200]  # not the pixels
    whole[head[place % len(head)]] = value
    read_or_refuse(folder, bytes(whole))


@pytest.mark.real_data
def test_real_batches_have_their_published_counts_and_pictures(real_data):
    folder = real_data("cifar10") / "cifar-10-batches-py"
    images, labels = read_cifar10(folder, split="train")
    assert images.shape == (5438, 32, 32, 3) and np.bincount(labels).min() > 500
    images, labels = read_cifar10(folder, split="test")
    assert len(images) == len(labels) == 509
    # The first official test image is a cat. Planes read in a wrong order would look like noise.
    assert labels[0] == 3
    steps = [np.abs(np.diff(images.astype(int), axis=axis)).mean() for axis in (1, 2)]
    assert max(steps) < 20
