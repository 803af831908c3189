import cv2
import numpy as np
import pytest

from attnlabels.clickmaps.masks import read_mask, read_shares


@pytest.mark.parametrize("largest", [255, 1])
def test_half_of_the_largest_grey_makes_it_part_of_the_object(tmp_path, largest):
    greys = (
        np.array([[0, 127, 128, 255]], np.uint8) if largest == 255 else np.eye(1, 4, 1, np.uint8)
    )
    cv2.imwrite(str(tmp_path / "x.png"), greys)
    found = read_mask(tmp_path / "x.png", size=(1, 4))
    assert found.tolist() == [[each >= (128 if largest == 255 else 1) for each in greys[0]]]


def test_an_empty_mask_has_no_object(tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((3, 4), np.uint8))
    assert not read_mask(tmp_path / "x.png", size=(3, 4)).any()


def test_a_mask_that_is_none_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="x.png: no mask there; put it there"):
        read_mask(tmp_path / "x.png", size=(3, 4))
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="x.png: not a readable PNG"):
        read_mask(tmp_path / "x.png", size=(3, 4))
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((4, 3), np.uint8))
    with pytest.raises(ValueError, match="x.png: a mask of 4 x 3 of an image of 3 x 4; take"):
        read_mask(tmp_path / "x.png", size=(3, 4))


def test_shares_of_pixels_are_kept_and_the_largest_is_1(tmp_path):
    cv2.imwrite(str(tmp_path / "x.png"), np.array([[0, 50, 200]], np.uint8))
    assert read_shares(tmp_path / "x.png", size=(1, 3)).tolist() == [[0, 0.25, 1]]
    cv2.imwrite(str(tmp_path / "x.png"), np.zeros((1, 3), np.uint8))
    with pytest.raises(ValueError, match="x.png: nothing is on it"):
        read_shares(tmp_path / "x.png", size=(1, 3))
