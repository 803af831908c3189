import numpy as np
import pytest

from attnlabels.psychophysics.scramble import phase_scramble, shrink


def photograph(size: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    """Smooth colours, whose channels go together."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    grey = 100 + 60 * np.sin(y / 5) + 30 * np.cos(x / 3)
    image = grey[..., None] * np.array([1.0, 0.7, 0.4]) + rng.normal(0, 8, (*size, 3))
    return image.clip(0, 255).astype(np.uint8)


def scrambled(image: np.ndarray, *, seed: int = 0) -> np.ndarray:
    return phase_scramble(image, rng=np.random.default_rng(seed))


def amplitudes(pixels: np.ndarray) -> np.ndarray:
    return abs(np.fft.fft2(pixels, axes=(0, 1)))


@pytest.mark.parametrize("size", [(24, 32), (25, 31), (24, 31), (25, 32)])
def test_the_amplitude_spectrum_is_kept_up_to_one_factor(size):
    image = photograph(size)
    before, after = amplitudes(image / 255), amplitudes(scrambled(image))
    kept = np.ones(size, bool)
    kept[0, 0] = False
    factor = after[kept].sum() / before[kept].sum()
    assert 0 < factor <= 1
    np.testing.assert_allclose(after[kept], factor * before[kept], rtol=1e-6, atol=1e-9)


def test_channels_keep_their_means_and_stay_within_0_and_1():
    for seed in range(20):  # the sign of the noise's mean is no matter
        image = photograph((24, 32), seed=seed)
        found = scrambled(image, seed=seed)
        np.testing.assert_allclose(found.mean(axis=(0, 1)), image.mean(axis=(0, 1)) / 255)
        assert found.min() >= 0 and found.max() <= 1


def test_channels_stay_as_correlated_as_they_were():
    image = photograph((24, 32))
    before, after = (np.corrcoef(each.reshape(-1, 3).T) for each in (image, scrambled(image)))
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_nothing_is_left_of_where_things_were():
    image = photograph((24, 32))
    r = [
        np.corrcoef(scrambled(image, seed=seed)[..., 0].ravel(), image[..., 0].ravel())[0, 1]
        for seed in range(30)
    ]
    assert abs(np.mean(r)) < 0.2
    assert (scrambled(image, seed=1) != scrambled(image, seed=2)).any()
    assert (scrambled(image, seed=1) == scrambled(image, seed=1)).all()


def test_contrast_shrinks_no_more_than_it_has_to():
    about = np.array([0.5, 0.5, 0.5])
    pixels = np.full((2, 2, 3), 0.5)
    pixels[0, 0, 0], pixels[1, 1, 1] = 1.5, 0.25
    found = shrink(pixels, about=about)
    assert found[0, 0, 0] == 1 and found[1, 1, 1] == 0.375  # halved, as the largest had to be
    narrow = np.full((2, 2, 3), 0.5)
    narrow[0, 0] = 0.7
    assert (shrink(narrow, about=about) == narrow).all()


def test_a_uniform_image_stays_as_it_is():
    for grey in (0, 128, 255):
        image = np.full((8, 9, 3), grey, np.uint8)
        np.testing.assert_allclose(scrambled(image), grey / 255)
