import numpy as np
import pytest

from attnlabels.clickmaps.blurring import blur, bubbled, disc, mean_map, odd, player_maps

NAMES = ("box_49", "disc_twice", "harmonization")


def spot(side: int) -> np.ndarray:
    map = np.zeros((side, side), np.float32)
    map[side // 2, side // 2] = 1
    return map


def reach(map: np.ndarray) -> int:
    """How many pixels across the blurred spot is."""
    rows, cols = np.nonzero(map > 1e-7)
    assert np.ptp(rows) == np.ptp(cols)
    return int(np.ptp(rows)) + 1


@pytest.mark.parametrize("length", [0.3, 1.0, 2.9, 3.1, 4.0, 9.19, 21.0, 48.9])
def test_the_odd_number_is_the_nearest(length):
    found = odd(length)
    assert found % 2 == 1
    assert abs(found - length) <= min(abs(each - length) for each in range(1, 99, 2)) + 1e-9


@pytest.mark.parametrize(
    ("name", "side", "across"),
    [
        ("box_49", 256, 49),
        ("box_49", 48, 9),
        ("disc_twice", 256, 41),  # a disc of 21 and a disc of 21
        ("disc_twice", 48, 5),
        ("disc_twice", 1000, 101),  # of 51 at the most
        ("harmonization", 64, 11),
        ("harmonization", 256, 41),
    ],
)
def test_a_blur_is_as_wide_as_it_is_published_and_grows_with_the_image(name, side, across):
    assert reach(blur(spot(side), name)) == across


@pytest.mark.parametrize("name", NAMES)
def test_a_blur_keeps_the_sum_is_centred_and_adds(name):
    found = blur(spot(65), name)
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(found, found[::-1]) and np.allclose(found, found.T)
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 40, 60), np.float32)
    assert np.allclose(blur(a + b, name), blur(a, name) + blur(b, name), atol=1e-5)


def test_a_box_is_a_mean_with_nothing_beyond_the_image():
    map = np.random.default_rng(0).random((32, 40), np.float32)  # 7 px: 49 at 256 is 6.1 at 32
    padded = np.pad(map, 3)
    expected = [[padded[i : i + 7, j : j + 7].mean() for j in range(40)] for i in range(32)]
    assert np.allclose(blur(map, "box_49"), expected, atol=1e-6)


def test_the_gaussian_is_cut_where_its_sigma_ends():
    row = blur(spot(64), "harmonization")[32]
    taps = np.exp(-(np.arange(-5, 6) ** 2) / 200)
    assert np.allclose(row[27:38] / row[32], taps, atol=1e-5)


def test_a_disc_is_round():
    found = disc(21)
    assert not found[0, 0] and found[10, 0] and (found == found.T).all()
    assert found.sum() == pytest.approx(np.pi * 21**2 / 4, rel=0.03)


def test_a_disc_of_any_size_leaves_zeros_and_ties_as_counting_does():
    """Else Spearman's correlation, by which players are compared, ranks noise."""
    clicks = np.zeros((256, 300), np.int64)
    rows, cols = np.random.default_rng(0).integers((0, 0), (256, 300), (40, 2)).T
    clicks[rows, cols] = 1
    expected = clicks
    for _ in range(2):
        padded = np.pad(expected, 10)
        at = zip(*np.nonzero(disc(21)))
        expected = sum(padded[i : i + 256, j : j + 300] for i, j in at)
    found = blur(clicks.astype(np.float32), "disc_twice")
    assert np.array_equal(found, (expected / disc(21).sum() ** 2).astype(np.float32))
    thirds = blur(clicks.astype(np.float32) / 3, "disc_twice")
    assert np.array_equal(thirds == 0, expected == 0) and len(np.unique(thirds)) == len(
        np.unique(expected)
    )


def test_none_leaves_a_map_as_it_is():
    assert np.array_equal(blur(spot(9), "none"), spot(9))


POINTS = np.array([[0, 1], [0, 1], [2, 2], [0, 1]])
PLAYERS = np.array([4, 4, 4, 7])


def test_the_mean_over_players_counts_each_once_or_each_click():
    binary = mean_map(POINTS, PLAYERS, size=(3, 4), count="binary")
    counted = mean_map(POINTS, PLAYERS, size=(3, 4), count="counted")
    assert (binary[0, 1], binary[2, 2]) == (1, 0.5) and binary.sum() == 1.5
    assert (counted[0, 1], counted[2, 2]) == (1.5, 0.5) and counted.sum() == 2


def test_nobodys_mean_is_zero():
    assert not mean_map(np.zeros((0, 2), int), np.zeros(0, int), size=(3, 4), count="binary").any()


@pytest.mark.parametrize("count", ["binary", "counted"])
def test_the_mean_of_the_players_maps_is_the_map_of_all(count):
    maps = player_maps(POINTS, PLAYERS, size=(3, 4), count=count, blur_by="box_49")
    assert maps.keys() == {4, 7}
    all_of_it = blur(mean_map(POINTS, PLAYERS, size=(3, 4), count=count), "box_49")
    assert np.allclose(np.mean([*maps.values()], axis=0), all_of_it, atol=1e-6)


def test_a_click_uncovers_a_square_of_the_side_that_is_given():
    assert bubbled(np.array([[10, 10]]), size=(40, 40), reach=5).sum() == 25
    assert bubbled(np.array([[10, 10]]), size=(256, 256)).sum() == 14**2
