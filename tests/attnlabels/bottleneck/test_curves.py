import numpy as np
import pytest

from attnlabels.bottleneck.curves import GREY, area, curve, order_of, shown


def test_cells_come_in_the_order_of_their_means():
    map = np.kron(np.array([[1.0, 4.0], [3.0, 2.0]]), np.ones((3, 3)))
    assert order_of(map, cells=2).tolist() == [1, 2, 3, 0]
    assert order_of(np.ones((4, 4)), cells=2).tolist() == [0, 1, 2, 3]


def test_what_is_chosen_is_grey_or_is_all_that_is_shown():
    images = np.random.default_rng(0).integers(0, 256, (2, 6, 6, 3), np.uint8)
    chosen = np.array([[[True, False], [False, False]], [[False, False], [False, True]]])
    gone, left = (shown(images, chosen, way) for way in ("deletion", "insertion"))
    assert (gone[0, :3, :3] == GREY).all() and (gone[0, 3:] == images[0, 3:]).all()
    assert (left[1, 3:, 3:] == images[1, 3:, 3:]).all() and (left[1, :3] == GREY).all()


def test_accuracy_falls_when_what_is_needed_is_gone_and_rises_when_it_is_shown():
    # The class is whether the upper left cell is white; the order has it first, or last.
    images = np.zeros((4, 4, 4, 3), np.uint8)
    images[::2, :2, :2] = 255
    labels = np.array([1, 0, 1, 0])
    first = np.tile(np.arange(4), (4, 1))

    def logits_of(given):
        white = given[:, 0, 0, 0] > 200
        return np.stack([~white, white], axis=1).astype(float)

    shares = (0.0, 0.25, 0.75, 1.0)
    for order, way, expected in (
        (first, "deletion", [1, 0.5, 0.5, 0.5]),
        (first[:, ::-1], "deletion", [1, 1, 1, 0.5]),
        (first, "insertion", [0.5, 1, 1, 1]),
        (first[:, ::-1], "insertion", [0.5, 0.5, 0.5, 1]),
    ):
        found = curve(images, labels, order, way, shares=shares, logits_of=logits_of)
        assert found.mean(axis=0).tolist() == expected


def test_the_area_is_over_the_span_of_shares():
    assert area(np.array([[1.0, 0.0], [0.5, 0.5]]), (0.0, 1.0)).tolist() == [0.5, 0.5]
    assert area(np.array([[1.0, 1.0, 0.0]]), (0.0, 0.5, 1.0)).tolist() == [0.75]
    assert area(np.array([[0.4, 0.4]]), (0.2, 0.6)).tolist() == pytest.approx([0.4])
