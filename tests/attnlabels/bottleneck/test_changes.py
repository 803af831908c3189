import numpy as np
import pytest

from attnlabels.bottleneck.changes import (
    alike,
    changes_of,
    colour_patch,
    filtered,
    place_beside,
    texture_patch,
)

SIDE = 24
IMAGE, OTHER = np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3), np.uint8)
OBJECT = np.zeros((SIDE, SIDE), bool)
OBJECT[8:18, 6:16] = True


@pytest.mark.parametrize("seed", range(20))
def test_a_window_lies_beside_the_object_wherever_it_fits(seed):
    row, column, n = place_beside(OBJECT, np.random.default_rng(seed), side=0.25)
    assert n == 6 and 0 <= row <= SIDE - n and 0 <= column <= SIDE - n
    assert not OBJECT[row : row + n, column : column + n].any()


def test_where_none_fits_it_covers_as_little_as_it_can():
    mask = np.ones((10, 10), bool)
    mask[9, 9] = False
    assert place_beside(mask, np.random.default_rng(0), side=0.5) == (5, 5, 5)


def test_a_window_is_of_one_colour_or_of_the_other_images_texture():
    for change, expected in ((colour_patch, None), (texture_patch, OTHER)):
        found = change(IMAGE, OBJECT, OTHER, np.random.default_rng(1), side=0.25)
        row, column, n = place_beside(OBJECT, np.random.default_rng(1), side=0.25)
        window = found[row : row + n, column : column + n]
        rest = np.ones((SIDE, SIDE), bool)
        rest[row : row + n, column : column + n] = False
        assert (found[rest] == IMAGE[rest]).all() and (found[OBJECT] == IMAGE[OBJECT]).all()
        if expected is None:
            assert len(np.unique(window.reshape(-1, 3), axis=0)) == 1
        else:
            views = np.lib.stride_tricks.sliding_window_view(expected, (n, n, 3))
            assert (views == window).all(axis=(-3, -2, -1)).any()


def test_frequencies_are_kept_to_a_radius_and_beyond_it():
    x = np.arange(SIDE) / SIDE
    slow, fast = (np.rint(128 + 50 * np.cos(2 * np.pi * f * x)) for f in (2, 9))
    both = np.repeat(np.tile(slow + fast - 128, (SIDE, 1))[..., None], 3, axis=2).astype(np.uint8)
    for low, kept in ((True, slow), (False, fast)):
        found = filtered(both, OBJECT, OTHER, np.random.default_rng(0), radius=5.0, low=low)
        assert np.abs(found[3, :, 0].astype(int) - kept).max() <= 2


def test_changes_are_named_by_what_they_do():
    names = ["colour", "texture", "low_4", "high_4", "low_2.5", "high_2.5"]
    assert [*changes_of(side=0.2, radii=(4.0, 2.5))] == names


def test_masks_are_alike_whatever_their_level_and_flat_ones_are_told():
    rng = np.random.default_rng(0)
    one, other = rng.random((2, 5, 5))
    assert alike(one, 3 * one + 7) == pytest.approx(1)
    assert alike(one, 1 - one) == pytest.approx(-1)
    assert alike(one, other) == pytest.approx(np.corrcoef(one.ravel(), other.ravel())[0, 1])
    flat = np.full((5, 5), 0.5)
    assert alike(flat, flat + 0.1) == 1.0 and alike(flat, one) == alike(one, flat) == 0.0
