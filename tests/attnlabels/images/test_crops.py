import cv2
import numpy as np
import pytest

from attnlabels.images.crops import WHOLE, centre_box, count_points, crop_map


def a_map(h=12, w=16, *, seed=0):
    return np.random.default_rng(seed).random((h, w), np.float32)


def as_points(*points):
    return np.array(points, np.int16).reshape(-1, 2)


def random_box(rng):
    height, width = rng.uniform(0.4, 1, 2)
    return rng.uniform(0, 1 - height), rng.uniform(0, 1 - width), height, width


# --- Boxes


def test_the_centre_box_of_one_is_the_whole_image():
    assert centre_box(30, 50, 1.0) == WHOLE == (0, 0, 1, 1)


@pytest.mark.parametrize("height, width", [(40, 80), (80, 40), (64, 64)])
def test_the_centre_box_is_a_square_in_the_middle(height, width):
    top, left, h, w = centre_box(height, width, 0.5)
    assert h * height == pytest.approx(w * width) == pytest.approx(0.5 * min(height, width))
    assert top + h / 2 == pytest.approx(0.5) and left + w / 2 == pytest.approx(0.5)


# --- Maps


@pytest.mark.parametrize("size", [(12, 16), (6, 4), (24, 48)])
def test_the_whole_box_keeps_every_part_of_the_map_in_its_place(size):
    found = crop_map(a_map(), WHOLE, size=size)
    assert found.shape == size and found.dtype == np.float32
    method = cv2.INTER_AREA if size[0] < 12 else cv2.INTER_LINEAR
    expected = cv2.resize(a_map(), size[::-1], interpolation=method)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_the_whole_box_at_the_maps_size_is_the_map():
    assert np.array_equal(crop_map(a_map(), WHOLE, size=(12, 16)), a_map())


def test_a_box_on_pixel_borders_copies_pixels():
    found = crop_map(a_map(), (2 / 12, 4 / 16, 6 / 12, 8 / 16), size=(6, 8))
    np.testing.assert_allclose(found, a_map()[2:8, 4:12], atol=1e-6)


def test_shrinking_takes_means_of_areas():
    found = crop_map(a_map(), (0.5, 0.0, 0.5, 1.0), size=(2, 4))
    means = a_map()[6:].reshape(2, 3, 4, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(found, means, atol=1e-6)


def test_shrinking_one_side_leaves_the_other_bilinear():
    # a ramp down the rows, which only bilinear weights keep straight where it is enlarged
    ramp = np.repeat(np.arange(4, dtype=np.float32)[:, None], 32, axis=1)
    found = crop_map(ramp, WHOLE, size=(16, 4))
    inside = found[2:-2, 0]
    np.testing.assert_allclose(np.diff(inside), 0.25, atol=0.02)


def test_a_straight_ramp_is_cut_where_the_box_is():
    # the value at a pixel's centre is the row it stands at, as a share of the height
    h, w = 40, 40
    ramp = np.repeat(((np.arange(h, dtype=np.float32) + 0.5) / h)[:, None], w, axis=1)
    rng = np.random.default_rng(0)
    for _ in range(20):
        box = random_box(rng)
        top, _, height, _ = box
        for rows in (10, 40, 64):
            found = crop_map(ramp, box, size=(rows, 20))[:, 7]
            expected = top + height * (np.arange(rows) + 0.5) / rows
            inside = (expected > 1 / h) & (expected < 1 - 1 / h)  # borders are repeated
            np.testing.assert_allclose(found[inside], expected[inside], atol=0.6 / h)


def test_a_cropped_map_stays_within_its_values():
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = crop_map(a_map(), random_box(rng), size=(20, 20))
        assert found.min() >= a_map().min() - 1e-6 and found.max() <= a_map().max() + 1e-6


# --- Points


def test_the_whole_box_counts_each_point_at_its_pixel():
    points = as_points((0, 0), (2, 3), (2, 3), (11, 15))
    counts = count_points(points, grid=(12, 16), box=WHOLE, size=(12, 16))
    expected = np.zeros((12, 16))
    expected[0, 0] = expected[11, 15] = 1
    expected[2, 3] = 2
    assert np.array_equal(counts, expected) and counts.dtype == np.float32


def test_points_worked_by_hand():
    # grid 10 x 10 on pixels of 1/4: row 8 of the grid is at 0.85, in the last of four
    points = as_points((8, 0), (3, 3), (9, 9))
    counts = count_points(points, grid=(10, 10), box=WHOLE, size=(4, 4))
    assert np.argwhere(counts).tolist() == [[1, 1], [3, 0], [3, 3]]
    # of the lower right quarter only the last is inside, at 0.9 of it
    counts = count_points(points, grid=(10, 10), box=(0.5, 0.5, 0.5, 0.5), size=(2, 2))
    assert np.argwhere(counts).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("grid", "size"), [((5, 6), (10, 12)), ((6, 7), (24, 28)), ((9, 9), (6, 3))]
)
def test_a_point_stays_where_it_is_on_a_finer_grid_and_on_a_coarser(grid, size):
    middles = [np.arange(n) + 0.5 for n in size]
    for row, col in np.ndindex(*grid):
        counts = count_points(as_points((row, col)), grid=grid, box=WHOLE, size=size)
        assert counts.sum() == 1
        at = (counts.sum(1) @ middles[0] / size[0], counts.sum(0) @ middles[1] / size[1])
        truth = ((row + 0.5) / grid[0], (col + 0.5) / grid[1])
        if size > grid:
            np.testing.assert_allclose(at, truth, atol=1e-6)
        mirrored = as_points((grid[0] - 1 - row, grid[1] - 1 - col))
        turned = count_points(mirrored, grid=grid, box=WHOLE, size=size)
        assert np.array_equal(turned[::-1, ::-1], counts)


def test_points_outside_the_box_are_not_counted_and_none_is_moved_in():
    rng = np.random.default_rng(0)
    points = rng.integers(0, (60, 80), (500, 2)).astype(np.int16)
    for _ in range(20):
        box = random_box(rng)
        shares = (points + 0.5) / (60, 80)
        inside = ((shares >= box[:2]) & (shares < np.add(box[:2], box[2:]))).all(axis=1)
        counts = count_points(points, grid=(60, 80), box=box, size=(9, 7))
        assert counts.sum() == inside.sum()


def test_no_points_count_nothing():
    counts = count_points(as_points(), grid=(12, 16), box=WHOLE, size=(4, 4))
    assert counts.shape == (4, 4) and counts.sum() == 0


# --- Both


@pytest.mark.parametrize("size", [(24, 24), (48, 64), (30, 20)])
@pytest.mark.parametrize("grid", [(48, 64), (480, 640)])
def test_a_point_and_the_peak_of_its_map_land_on_the_same_pixel(size, grid):
    rng = np.random.default_rng(0)
    h, w = 48, 64
    compared = 0
    for _ in range(60):
        row, col = rng.integers(0, grid[0]), rng.integers(0, grid[1])
        y, x = (row + 0.5) / grid[0] * h - 0.5, (col + 0.5) / grid[1] * w - 0.5
        r, c = np.mgrid[:h, :w]
        peak = np.exp(-((r - y) ** 2 + (c - x) ** 2) / (2 * 3.0**2)).astype(np.float32)
        box = random_box(rng)
        counts = count_points(as_points((row, col)), grid=grid, box=box, size=size)
        if not counts.sum():
            continue
        found = crop_map(peak, box, size=size)
        at, top = np.argwhere(counts)[0], np.unravel_index(found.argmax(), size)
        # the same pixel, or its neighbour for a point near their border, where values tie
        assert np.abs(at - top).max() <= 1
        assert found[tuple(at)] >= 0.95 * found.max()
        compared += 1
    assert compared > 20


def test_the_mirror_image_of_map_and_points_agree():
    # a flip after the crop mirrors both alike: column c becomes the last minus c
    rng = np.random.default_rng(0)
    points = rng.integers(0, (48, 64), (30, 2)).astype(np.int16)
    box = (0.1, 0.05, 0.8, 0.7)
    mirrored = (box[0], 1 - box[1] - box[3], box[2], box[3])
    flipped = points * (1, -1) + (0, 63)
    counts = count_points(points, grid=(48, 64), box=box, size=(10, 11))
    mirror = count_points(flipped.astype(np.int16), grid=(48, 64), box=mirrored, size=(10, 11))
    assert np.array_equal(counts[:, ::-1], mirror)
    density = a_map(48, 64)
    found = crop_map(np.ascontiguousarray(density[:, ::-1]), mirrored, size=(10, 11))
    np.testing.assert_allclose(crop_map(density, box, size=(10, 11))[:, ::-1], found, atol=0.05)
