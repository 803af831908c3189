import numpy as np
import pytest

from attnlabels.interpretation.pictures import GAP, difference, in_a_row, layers, seen_through

WHITE = [255, 255, 255]


def test_a_difference_is_red_where_one_is_higher_and_blue_where_the_other_is() -> None:
    one, other = np.array([[3.0, 0.0, 4.0, 0.0]]), np.array([[0.0, 0.6, 0.8, 0.0]])
    # Of unit length: 0.6, 0, 0.8, 0 and 0, 0.6, 0.8, 0.
    found = difference(one, other)
    assert found.tolist() == [[[255, 0, 0], [0, 0, 255], WHITE, WHITE]]
    assert difference(other, one).tolist() == [[[0, 0, 255], [255, 0, 0], WHITE, WHITE]]
    assert (difference(one, 7 * one) == 255).all()
    assert (difference(np.zeros((2, 2)), np.zeros((2, 2))) == 255).all()


def test_half_a_difference_is_half_as_strong() -> None:
    one, other = np.array([[1.0, 0.0]]), np.array([[0.6, 0.8]])  # 0.4 and -0.8 apart
    assert difference(one, other).tolist() == [[[255, 128, 128], [0, 0, 255]]]


def test_maps_of_two_sizes_have_no_difference() -> None:
    with pytest.raises(ValueError, match=r"maps of \(2, 2\) and \(2, 3\)"):
        difference(np.ones((2, 2)), np.ones((2, 3)))


def test_the_photograph_shows_as_far_as_it_is_attended_to() -> None:
    image = np.full((4, 4, 3), 55, np.uint8)
    map = np.zeros((4, 4))
    map[0, 0], map[1, 1] = 2.0, 1.0
    found = seen_through(image, map)
    assert found[0, 0].tolist() == [55] * 3 and found[1, 1].tolist() == [155] * 3
    assert found[3, 3].tolist() == WHITE
    assert (seen_through(image, np.full((2, 2), 0.3)) == image).all()
    assert seen_through(image, np.array([[0.0, 1.0]]))[2].tolist()[0] == WHITE


def test_layers_stand_side_by_side_each_over_its_own_range() -> None:
    maps = np.stack([np.eye(3), 100 * np.eye(3) + 5, np.zeros((3, 3))])
    found = layers(maps, side=30)
    assert found.shape == (30, 3 * 30 + 2 * GAP, 3)
    first, second, third = (found[:, at : at + 30] for at in (0, 30 + GAP, 2 * (30 + GAP)))
    assert (first == second).all() and (first[5, 5] != first[5, 15]).any()
    assert (third == first[5, 15]).all()
    assert (found[:, 30 : 30 + GAP] == 255).all()


def test_pictures_in_a_row_are_those() -> None:
    pictures = [np.full((2, w, 3), w, np.uint8) for w in (1, 3)]
    found = in_a_row(pictures)
    assert found.shape == (2, 4 + GAP, 3) and found[0, 0, 0] == 1 and found[1, -1, 2] == 3
