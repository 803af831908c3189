import numpy as np
import pytest

from attnlabels.clickmaps import playing


def spot(row: int, col: int) -> np.ndarray:
    rows, cols = np.mgrid[:9, :9]
    return np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 8)


def test_who_paints_the_same_again_is_consistent():
    assert playing.consistency([(spot(2, 2), 3 * spot(2, 2))]) == pytest.approx(1)
    assert playing.consistency([(spot(2, 2), spot(7, 7))]) < 0
    assert playing.consistency([]) is None


def test_agreement_and_centredness_are_means_of_rank_correlations():
    own, others = [spot(2, 2), spot(6, 6)], [spot(2, 2), spot(2, 2)]
    apart = playing.consistency([(spot(6, 6), spot(2, 2))])
    assert playing.agreement(own, others) == pytest.approx((1 + apart) / 2)
    assert playing.centredness([spot(4, 4)], spot(4, 4)) == pytest.approx(1)
    assert playing.centredness([spot(0, 0)], spot(4, 4)) < 0.5
    with pytest.raises(ValueError):
        playing.agreement(own, others[:1])


def test_the_variation_of_times_is_that_of_their_quartiles():
    even, uneven = np.arange(0, 1000, 50.0), np.cumsum([50.0, 70.0] * 10)
    assert playing.time_variation([even]) == 0
    assert playing.time_variation([uneven]) == pytest.approx(20 / 70)
    assert playing.time_variation([even, even, uneven]) == 0  # the median round
    assert playing.time_variation([even[:4]]) is None
    rest = np.concatenate([even, even + 5000])  # one rest does not hide a program
    assert playing.time_variation([rest]) == 0
    assert playing.time_variation([np.zeros(9)]) == 0


def test_the_variation_of_steps_and_the_speed_are_of_lengths():
    t = np.arange(20) * 50.0
    line = np.stack([np.arange(20.0), np.zeros(20)], axis=1)
    assert playing.length_variation([line]) == 0
    assert playing.speed([line], [t]) == pytest.approx(20)  # a pixel each 50 ms
    assert playing.length_variation([line**2]) > 0.3
    still = np.zeros((20, 2))
    assert playing.length_variation([still]) == 0
    rests = np.repeat(line**2, 3, axis=0)  # as a pen that tells of its pressure too
    assert playing.length_variation([rests]) is None
    assert playing.length_variation([rests, line]) == 0
    assert playing.speed([line[:1]], [t[:1]]) is None


def test_a_line_is_straight_and_a_way_back_and_forth_is_not():
    line = np.stack([np.arange(30.0), np.arange(30.0)], axis=1)
    forth = np.stack([np.arange(30) % 2, np.zeros(30)], axis=1).astype(float)
    assert playing.straightness([line]) == pytest.approx(1)
    assert playing.straightness([forth]) == 0  # eight steps lead back
    assert playing.straightness([line[:5]]) is None


def test_colouring_is_the_median_of_ratios_to_others():
    assert playing.colouring([0.2, 0.3, 0.1], [0.1, 0.1, 0.0]) == pytest.approx(2.5)
    assert playing.colouring([0.2], [0.0]) is None


def test_half_of_a_map_is_on_few_pixels_where_it_is_compact():
    assert playing.half_area(np.ones((4, 4))) == 0.5
    one = np.zeros((4, 4))
    one[1, 1] = 3
    assert playing.half_area(one) == 1 / 16
    assert playing.half_area(one + 0.05) == 1 / 16
    for map in (np.zeros((2, 2)), -one):
        with pytest.raises(ValueError, match="expected >= 0, not all 0"):
            playing.half_area(map)


def test_the_area_under_the_curve_counts_pairs():
    scores, positive = [0.1, 0.4, 0.35, 0.8], [False, False, True, True]
    pairs = [(p > n) + (p == n) / 2 for p in (0.35, 0.8) for n in (0.1, 0.4)]
    assert playing.area_under_curve(scores, positive) == np.mean(pairs) == 0.75
    assert playing.area_under_curve([1.0, 1.0], [True, False]) == 0.5
    for all_alike in ([True, True], [False, False]):
        with pytest.raises(ValueError, match="expected some"):
            playing.area_under_curve([1.0, 2.0], all_alike)


def test_a_mean_of_nothing_is_none():
    assert playing.mean([]) is None and playing.mean([True, False]) == 0.5
