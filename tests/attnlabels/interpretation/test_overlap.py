import numpy as np
import pytest

from attnlabels.interpretation.overlap import (
    chance,
    enlarge,
    iou_above_half,
    iou_of_both,
    iou_of_highest,
    iou_of_mask_size,
)

# Four cells of nine are the object; the map puts its three highest on two of them and one beside.
MASK = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]], bool)
MAP = np.array([[0.9, 0.8, 0.7], [0.2, 0.1, 0.4], [0.3, 0.0, 0.05]])


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [(1, 1 / 4), (2, 2 / 4), (3, 2 / 5), (4, 2 / 6), (5, 2 / 7), (9, 4 / 9)],
)
def test_the_highest_pixels_are_compared(pixels: int, expected: float) -> None:
    assert iou_of_highest(MAP, MASK, pixels=pixels) == pytest.approx(expected)


def test_as_many_as_the_mask_has() -> None:
    assert iou_of_mask_size(MAP, MASK) == iou_of_highest(MAP, MASK, pixels=4)
    assert iou_of_mask_size(MASK.astype(np.float32), MASK) == 1
    assert iou_of_mask_size(1 - MASK.astype(np.float32), MASK) == 0


def test_what_keeps_the_order_changes_nothing_but_above_half() -> None:
    for changed in (5 * MAP - 3, np.exp(4 * MAP), MAP**5):
        assert iou_of_mask_size(changed, MASK) == iou_of_mask_size(MAP, MASK)
    assert iou_above_half(MAP, MASK) == pytest.approx(2 / 5)  # 0.9, 0.8 and 0.7
    assert iou_above_half(MAP**5, MASK) == pytest.approx(2 / 4)  # 0.59 and 0.33 of 0.59
    broad, narrow = np.sqrt(MAP), MAP**20
    assert iou_above_half(broad, MASK) != iou_above_half(narrow, MASK)


def test_equal_values_count_as_they_would_be_chosen_and_a_flat_map_as_chance() -> None:
    # Of the two 0.5 one is chosen, which is inside once in two.
    map = np.array([[0.9, 0.5, 0.5], [0, 0, 0], [0, 0, 0.1]])
    assert iou_of_highest(map, MASK, pixels=2) == pytest.approx(1.5 / (2 + 4 - 1.5))
    for flat in (np.zeros((3, 3)), np.full((5, 7), 0.3, np.float32)):
        assert iou_of_mask_size(flat, MASK) == pytest.approx(chance(MASK))


def test_chance_is_that_of_random_pixels() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 50), bool)
    mask[5:25, 10:30] = True
    drawn = [iou_of_mask_size(rng.random(mask.shape), mask) for _ in range(50)]
    assert chance(mask) == pytest.approx(0.2 / 1.8)
    assert np.mean(drawn) == pytest.approx(chance(mask), abs=0.005)


def test_a_small_map_is_enlarged_to_the_mask_and_to_the_range() -> None:
    mask = np.zeros((12, 16), bool)
    wide = enlarge(np.array([[2.0, 4.0], [4.0, 10.0]]), mask)
    assert wide.shape == mask.shape and wide.min() == 0 and wide.max() == 1
    assert wide[0, -1] == pytest.approx(0.25) and (np.diff(wide, axis=1) >= 0).all()
    mask[6:, 8:] = True
    assert iou_of_mask_size(np.eye(1, 4, 3).reshape(2, 2), mask) > 0.8


def test_of_two_networks_the_fewer_pixels_above_half_are_compared() -> None:
    broad = np.array([[0.9, 0.8, 0.7], [0.6, 0.0, 0.7], [0.0, 0.6, 0.0]])  # six above half
    narrow = np.array([[0.0, 0.2, 0.1], [0.0, 0.3, 0.1], [0.9, 1.0, 0.2]])  # two
    found = iou_of_both(broad, narrow, MASK)
    assert found == (pytest.approx(2 / 4), 0, 2)
    assert iou_of_both(narrow, broad, MASK) == (found.other, found.one, 2)
    assert iou_of_both(np.ones((3, 3)), narrow, MASK).pixels == 1


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="enlarge the map first"):
        iou_of_highest(MAP, np.ones((2, 3), bool), pixels=1)
    with pytest.raises(ValueError, match="a mask of 0"):
        iou_of_mask_size(MAP, np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="10 of 9 pixels"):
        iou_of_highest(MAP, MASK, pixels=10)
    with pytest.raises(ValueError, match="no numbers"):
        iou_of_mask_size(np.full((3, 3), np.nan), MASK)
