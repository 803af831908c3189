import cv2
import numpy as np
import pytest

from attnlabels.images.overlays import colour_map, fit_inside, mark_points, overlay, spread


def test_a_map_is_coloured_cell_by_cell_from_black_to_light_yellow():
    coloured = colour_map(np.array([[0, 1.0]], np.float32), size=(4, 10))
    assert (coloured[:, :5] == (0, 0, 4)).all() and (coloured[:, 5:] == (252, 255, 164)).all()


@pytest.mark.parametrize(("point", "row", "col"), [((0, 0), 5, 5), ((1, 3), 15, 35)])
def test_a_point_lies_in_the_middle_of_its_cell(point, row, col):
    marked = mark_points(np.zeros((20, 40, 3), np.uint8), np.array([point]), grid=(2, 4))
    rows, cols = np.nonzero(marked.any(axis=2))
    assert abs(rows.mean() + 0.5 - row) <= 0.5 and abs(cols.mean() + 0.5 - col) <= 0.5


def test_points_leave_the_image_itself_alone():
    image = np.zeros((20, 40, 3), np.uint8)
    mark_points(image, np.array([[0, 0]]), grid=(2, 4))
    assert not image.any()


def test_an_overlay_is_the_image_where_the_map_is_0_and_the_maps_colour_where_it_is_high():
    image = np.full((30, 30, 3), 100, np.uint8)
    map = np.zeros((3, 3), np.float32)
    map[1, 1] = 1
    mixed = overlay(image, map, np.zeros((0, 2), int), grid=(3, 3))
    np.testing.assert_allclose(mixed[0, 0], 100, atol=2)
    np.testing.assert_allclose(mixed[15, 15], 0.35 * 100 + 0.65 * np.array([252, 255, 164]), atol=9)


@pytest.mark.parametrize(
    ("size", "fitted"),
    [
        ((30, 60), (50, 100)),
        ((600, 300), (100, 50)),
        ((1, 1), (100, 100)),
        ((9000, 3), (100, 1)),
    ],
)
def test_an_image_of_any_shape_fits_into_a_square(size, fitted):
    assert fit_inside(np.zeros((*size, 3), np.uint8), side=100).shape == (*fitted, 3)


def test_numbers_are_spread_over_all():
    assert spread(10, 5) == [0, 2, 4, 6, 8] and spread(3, 5) == [0, 1, 2] and spread(7, 1) == [0]


def test_the_colours_are_those_of_the_named_map():
    grey = np.arange(256, dtype=np.uint8)[None]
    expected = cv2.applyColorMap(grey, cv2.COLORMAP_INFERNO)[..., ::-1]
    found = colour_map(np.linspace(0, 1, 256, dtype=np.float32)[None], size=(1, 256))
    assert np.array_equal(found, expected)
