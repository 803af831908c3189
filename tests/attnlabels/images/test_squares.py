import numpy as np
import pytest
from PIL import Image

from attnlabels.images.squares import resize_centre_crop


def noise(side: int = 120) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)


def test_centre_crop_takes_the_middle_of_the_longer_side():
    wide = np.zeros((100, 200, 3), np.uint8)
    wide[:, :50], wide[:, 150:] = 255, 255  # outside the central 100 columns
    assert resize_centre_crop(wide, size=32, crop=0.875).max() == 0


def test_crop_of_one_keeps_the_whole_image():
    wide = np.zeros((100, 200, 3), np.uint8)
    wide[:, :100] = 255
    square = resize_centre_crop(wide, size=32, crop=1.0)
    assert (square[:, :14] == 255).all() and (square[:, 18:] == 0).all()


def test_centre_crop_equals_pillows_crop_then_antialiased_bicubic():
    pixels = noise()
    cropped = Image.fromarray(pixels).crop((7, 7, 112, 112))  # 0.875 * 120 = 105, margin 7.5
    square = resize_centre_crop(pixels, size=40, crop=0.875)
    near = np.asarray(cropped.resize((40, 40), Image.Resampling.BICUBIC), int)
    shifted = Image.fromarray(pixels).crop((8, 8, 113, 113))
    exact = np.asarray(shifted.resize((40, 40), Image.Resampling.BICUBIC), int)
    assert abs(square - exact).max() <= 1 < abs(square - near).max()


def test_a_square_of_that_size_is_copied():
    pixels = noise(48)
    assert np.array_equal(resize_centre_crop(pixels, size=48, crop=1.0), pixels)


def test_crop_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="crop is 1.5; expected a share"):
        resize_centre_crop(np.zeros((9, 9, 3), np.uint8), size=4, crop=1.5)


def test_pixels_that_may_not_be_written_to_are_resized():
    pixels = noise(48)
    pixels.flags.writeable = False
    assert resize_centre_crop(pixels, size=24, crop=1.0).shape == (24, 24, 3)
