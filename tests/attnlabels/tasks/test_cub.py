from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.shards.shards import Sample
from attnlabels.tasks.cub import draw_samples, read_cub, read_gaze

# Two images of 20 x 10 pixels, of two classes, the second to test on.
LISTS = {
    "images": "1 001.Auk/a_1.jpg\n2 002.Wren/b_2.jpg\n",
    "image_class_labels": "1 1\n2 2\n",
    "train_test_split": "1 1\n2 0\n",
    "classes": "1 001.Auk\n2 002.Wren\n",
}
RUN = "1,20,10,15,2,300,3,8,100\n1,20,10,15,3,200\n2,20,10,1,1,50\n"
OPTIONS = {
    "outside": "refuse",
    "sigma_px": 1.0,
    "sigma_width": 20,
    "map_size": (10, 20),
    "source": "gaze.txt",
}


@pytest.fixture
def root(tmp_path) -> Path:
    for name, text in LISTS.items():
        (tmp_path / f"{name}.txt").write_text(text)
    for path in ("001.Auk/a_1.jpg", "002.Wren/b_2.jpg"):
        file = tmp_path / "images" / path
        file.parent.mkdir(parents=True)
        cv2.imwrite(str(file), np.full((10, 20, 3), 90, np.uint8))
    return tmp_path


def samples(root: Path, text: str = RUN, **changed) -> list[Sample]:
    (root / "gaze.txt").write_text(text)
    cub = read_cub(root)
    options = OPTIONS | {"split": "train"} | changed
    return [*draw_samples(root, cub, read_gaze(root / "gaze.txt", cub.images), **options)]


def test_a_run_s_line_is_an_image_its_size_and_three_numbers_a_fixation(root):
    (sample,) = samples(root)
    assert sample["label"] == 0 and sample["name"] == "001.Auk/a_1.jpg"
    assert sample["points"].tolist() == [[2, 15], [8, 3], [3, 15]]  # (row, col)
    assert sample["observers"].tolist() == [0, 0, 1]  # a line each
    assert sample["grid"] == sample["image_size"] == (10, 20)


def test_maps_weigh_by_duration(root):
    (sample,) = samples(root)
    assert np.unravel_index(sample["map"].argmax(), (10, 20)) == (2, 15)
    (turned,) = samples(root, "1,20,10,15,2,100,3,8,900\n")
    assert np.unravel_index(turned["map"].argmax(), (10, 20)) == (8, 3)


def test_a_merged_line_is_in_pixels_of_the_screen_where_the_image_was_shown_larger(root):
    # shown at 40 x 20 with its corner at (100, 50): (130, 54) is (15, 2) of the image
    (sample,) = samples(root, "1,20,10,40,20,100,50,130,54,300,106,66,100\n")
    assert sample["points"].tolist() == [[2, 15], [8, 3]]


def test_a_split_has_its_images_that_somebody_looked_at(root):
    (sample,) = samples(root, split="test")
    assert sample["key"] == "cub2" and sample["label"] == 1
    assert samples(root, "1,20,10,15,2,300\n", split="test") == []


def test_points_outside_are_refused_or_dropped(root):
    text = "1,20,10,20,2,300,3,8,100\n"
    with pytest.raises(ValueError, match=r"image 1: .* \[2\.0, 20\.0\] is outside"):
        samples(root, text)
    (sample,) = samples(root, text, outside="drop")
    assert sample["points"].tolist() == [[8, 3]]
    with pytest.raises(ValueError, match="image 1: no point of its gaze is inside"):
        samples(root, "1,20,10,20,2,300\n", outside="drop")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("9,20,10,1,1,50\n", "gaze.txt:1: gaze for image '9', which images.txt does not list"),
        ("1,20,10,1,1,50\n1,20,10,1,1\n", "gaze.txt:2: 5 numbers; expected image, width"),
        ("1,20,10\n", "gaze.txt:1: 3 numbers"),
        ("1,20,10,a,1,50\n", "gaze.txt:1: holds other things than numbers"),
        ("1,20,10,1,1,50\n1,21,10,1,1,50\n", "gaze.txt:2: image 1 had another size before"),
        ("1,30,10,1,1,50\n", r"a_1.jpg: of another size than its gaze says, \(10, 30\)"),
    ],
    ids=["unknown", "short", "nothing", "letters", "sizes", "image"],
)
def test_gaze_that_does_not_fit_is_named(root, text, message):
    with pytest.raises(ValueError, match=message):
        samples(root, text)


def test_an_image_that_is_missing_is_named(root):
    (root / "images/001.Auk/a_1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="a_1.jpg: image 1 has gaze, but is missing"):
        samples(root)


def test_lists_that_are_missing_or_do_not_fit_are_named(root):
    (root / "train_test_split.txt").write_text("1 1\n")
    with pytest.raises(ValueError, match=r"train_test_split.txt: not of the images .* \(2\)"):
        read_cub(root)
    (root / "train_test_split.txt").write_text("1 1\n2 0\n")
    (root / "classes.txt").write_text("1 001.Auk\n")
    with pytest.raises(ValueError, match="classes.txt: no class 2, which images have"):
        read_cub(root)
    (root / "classes.txt").write_text("1\n")
    with pytest.raises(ValueError, match="classes.txt: expected a number and a word a line"):
        read_cub(root)
    (root / "images.txt").unlink()
    with pytest.raises(FileNotFoundError, match="images.txt: not here; expected CUB-200's folder"):
        read_cub(root)
    with pytest.raises(FileNotFoundError, match="no gaze here"):
        read_gaze(root / "none.txt", {})
