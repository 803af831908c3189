import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from attnlabels.images.crops import sigma_on
from attnlabels.images.decoding import resize
from attnlabels.recordings.density import centre_prior, density, fixation_map

POINTS = np.array([[2, 3], [2, 3], [29, 0], [10, 38]])


def test_binary_map_counts_a_repeated_point_once_and_counted_each_time():
    binary = fixation_map(POINTS, height=30, width=40, count="binary")
    counted = fixation_map(POINTS, height=30, width=40, count="counted")
    assert binary.sum() == 3 and counted.sum() == 4
    assert binary[2, 3] == 1 and counted[2, 3] == 2 and binary[29, 0] == 1


def test_rows_are_rows():
    map = fixation_map(np.array([[0, 39]]), height=30, width=40, count="binary")
    assert np.argwhere(map).tolist() == [[0, 39]]


@pytest.mark.parametrize("count", ["binary", "counted"])
@pytest.mark.parametrize(("border", "mode"), [("zeros", "constant"), ("reflect", "reflect")])
def test_density_is_scipys_gaussian_with_either_border(count, border, mode):
    map = fixation_map(POINTS, height=30, width=40, count=count).astype(float)
    blurred = gaussian_filter(map, 2.5, mode=mode, truncate=4)
    expected = (blurred - blurred.min()) / (blurred.max() - blurred.min())
    found = density(POINTS, height=30, width=40, sigma_px=2.5, count=count, border=border)
    assert found.dtype == np.float32 and found.min() == 0 and found.max() == 1
    assert np.abs(found - expected).max() < 1e-5


def test_a_reflected_border_is_that_of_salicons_own_code():
    """NUS-VIP/salicon-api `buildFixMap`: scipy's filter with nothing but sigma."""
    points = np.array([[0, 0], [239, 100], [120, 160]])
    map = fixation_map(points, height=240, width=320, count="binary").astype(float)
    expected = gaussian_filter(map, 9.5)
    expected -= expected.min()
    expected /= expected.max()
    found = density(points, height=240, width=320, sigma_px=9.5, count="binary", border="reflect")
    assert np.abs(found - expected).max() < 1e-4
    assert found[0, 0] == 1 and found[239, 100] == pytest.approx(0.5, abs=0.01)
    zeros = density(points, height=240, width=320, sigma_px=9.5, count="binary", border="zeros")
    assert np.abs(zeros - expected).max() > 0.5


def test_one_point_gives_its_gaussian():
    map = density(np.array([[50, 50]]), height=101, width=101, sigma_px=6.0, count="binary")
    for distance in (3, 6, 12):
        assert map[50, 50 + distance] == pytest.approx(np.exp(-(distance**2) / 72), abs=1e-3)


def test_sigma_scaled_with_the_width_gives_the_same_density():
    rng = np.random.default_rng(0)
    small = rng.integers(0, (60, 80), (20, 2))
    large = small * 4 + [[2, 2]]
    reduced = density(large, height=240, width=320, sigma_px=9.5, count="binary")
    reduced = reduced.reshape(60, 4, 80, 4).mean((1, 3))
    agreement = [
        np.corrcoef(
            reduced.ravel(),
            density(small, height=60, width=80, sigma_px=sigma_px, count="binary").ravel(),
        )[0, 1]
        for sigma_px in (9.5 * 80 / 320, 9.5)
    ]
    assert agreement[0] > 0.995 and agreement[1] < 0.8


def test_no_points_and_flat_densities_are_refused():
    nothing = np.zeros((0, 2), int)
    with pytest.raises(ValueError, match="no points"):
        density(nothing, height=3, width=3, sigma_px=1.0, count="binary")
    with pytest.raises(ValueError, match="density of 1 points is the same everywhere"):
        density(np.array([[0, 0]]), height=1, width=1, sigma_px=1.0, count="binary")
    with pytest.raises(ValueError, match="sigma_px is 0.0"):
        density(POINTS, height=30, width=40, sigma_px=0.0, count="binary")


@pytest.mark.parametrize("point", [[30, 0], [0, 40], [-1, 0]])
def test_points_outside_are_refused(point):
    with pytest.raises(ValueError, match="expected all within 30 x 40"):
        fixation_map(np.array([point]), height=30, width=40, count="binary")


def test_centre_prior_falls_to_one_sigma_a_quarter_from_the_middle():
    prior = centre_prior(41, 81)
    assert prior.shape == (41, 81) and prior[20, 40] == 1
    assert prior[20, 40 + 20] == pytest.approx(np.exp(-((20 / 20.25) ** 2) / 2), abs=1e-6)
    assert np.array_equal(prior, prior[::-1, ::-1])


def test_what_is_round_on_an_image_is_as_squeezed_as_its_map():
    points = np.array([[60, 40], [150, 300]])
    round_ = density(points, height=300, width=400, sigma_px=20.0, count="binary")
    squeezed = density(
        points * (200, 200) // (300, 400),
        height=200,
        width=200,
        sigma_px=sigma_on((200, 200), height=300 / 400, share=20 / 400),
        count="binary",
    )
    assert np.corrcoef(resize(round_, 200, 200).ravel(), squeezed.ravel())[0, 1] > 0.999
    with pytest.raises(ValueError, match="sigma_px is "):
        density(POINTS, height=30, width=40, sigma_px=(1.0, 0.0), count="binary")
