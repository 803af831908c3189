import numpy as np
import pytest

from attnlabels.psychophysics.stimuli import background_of, compose, log_shares, pixels_of

SIZE = (9, 12)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


BLACK = np.zeros((*SIZE, 3))


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    region = np.zeros(SIZE, bool)
    region[top : top + height, left : left + width] = True
    return region


def test_shares_are_equal_steps_of_the_logarithm_up_to_the_whole():
    shares = log_shares(0.01, 9)
    assert shares[0] == 0.01 and shares[-1] == 1 and len(shares) == 9
    np.testing.assert_allclose(np.diff(np.log10(shares)), 0.25, atol=1e-3)


@pytest.mark.parametrize(("least", "n"), [(0.0, 5), (1.0, 5), (-0.1, 5), (0.1, 1)])
def test_shares_that_make_no_steps_are_refused(least, n):
    with pytest.raises(ValueError, match=f"{n} shares from {least}; expected 2 or more"):
        log_shares(least, n)


def test_pixels_of_a_share_are_counted_to_the_nearest():
    assert [pixels_of(share, (10, 10)) for share in (0.0, 0.004, 0.016, 0.5, 1.0)] == [
        0,
        0,
        2,
        50,
        100,
    ]


def test_a_region_is_moved_to_the_middle_with_its_pixels(image):
    region = box(0, 1, 3, 2)
    stimulus = compose(image, region, BLACK)
    assert stimulus.lost == 0
    expected = np.zeros_like(image)
    expected[3:6, 5:7] = image[:3, 1:3]  # the middle is at 4, 5.5
    assert (stimulus.image == expected).all()


def test_the_whole_image_stays_where_it_is(image):
    stimulus = compose(image, np.ones(SIZE, bool), BLACK)
    assert (stimulus.image == image).all() and stimulus.lost == 0


def test_of_nothing_the_background_is_left(image):
    background = np.full((*SIZE, 3), 0.2)
    stimulus = compose(image, np.zeros(SIZE, bool), background)
    assert (stimulus.image == 51).all() and stimulus.lost == 0


def test_what_falls_off_is_counted(image):
    region = box(0, 0, 9, 1)
    region[0, :] = True  # an L: its middle is left of and above the picture's
    stimulus = compose(image, region, np.zeros((*SIZE, 3)))
    rows, cols = np.nonzero(region)
    down, right = round(4 - rows.mean()), round(5.5 - cols.mean())
    away = (rows + down > 8) | (cols + right > 11)
    assert stimulus.lost == away.sum() > 0
    shown = {(r + down, c + right) for r, c, gone in zip(rows, cols, away) if not gone}
    assert (stimulus.image.any(axis=2).sum()) == len(shown)


def test_backgrounds_are_of_the_image_of_another_or_of_none(image):
    stranger = np.full((5, 5, 3), 200, np.uint8)

    def behind(of) -> np.ndarray:
        return background_of(image, stranger, of=of, rng=np.random.default_rng(0))

    means = image.mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(behind("own").mean(axis=(0, 1)), means)
    np.testing.assert_allclose(behind("other"), 200 / 255)
    assert (behind("grey") == 0.5).all()
    assert {behind(of).shape for of in ("own", "other", "grey")} == {image.shape}
