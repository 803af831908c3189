import numpy as np
import pytest

from attnlabels.collecting.patches import reveal

IMAGE = np.arange(40 * 50 * 3, dtype=np.uint8).reshape(40, 50, 3)


def naive(places, side, neutral):
    shown = np.full_like(IMAGE, neutral)
    half = side // 2
    for x, y in places:
        for row in range(int(y) - half, int(y) - half + side):
            for column in range(int(x) - half, int(x) - half + side):
                if 0 <= row < 40 and 0 <= column < 50:
                    shown[row, column] = IMAGE[row, column]
    return shown


@pytest.mark.parametrize(
    "places",
    [[], [(25.0, 20.0)], [(25.9, 20.9), (27.0, 20.0)], [(0.0, 0.0)], [(49.9, 39.9)], [(3.0, 38.0)]],
    ids=range(6),
)
@pytest.mark.parametrize("side", [1, 4, 21])
def test_the_patches_and_nothing_else_are_seen(places, side):
    shown = reveal(IMAGE, places, patch_px=side, neutral=77)
    assert (shown == naive(places, side, 77)).all()


def test_a_place_on_the_far_edge_is_in_the_last_pixel():
    assert (reveal(IMAGE, [(50.0, 40.0)], patch_px=1, neutral=0)[39, 49] == IMAGE[39, 49]).all()


def test_the_image_is_left_as_it_was():
    before = IMAGE.copy()
    reveal(IMAGE, [(5.0, 5.0)], patch_px=9, neutral=0)
    assert (before == IMAGE).all()
