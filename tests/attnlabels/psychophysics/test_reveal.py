import heapq

import numpy as np
import pytest
from scipy.ndimage import label

from attnlabels.collecting.patches import reveal
from attnlabels.psychophysics.reveal import (
    random_order,
    require_map,
    reveal_order,
    revealed,
    trail_of_patches,
)

SIZE = (14, 17)
MANNERS = [(0.0, 0.0), (0.0, 0.7), (5.0, 0.0), (5.0, 0.7)]
each_manner = pytest.mark.parametrize(("alpha", "noise"), MANNERS)


def two_blobs(size: tuple[int, int] = SIZE) -> np.ndarray:
    y, x = np.mgrid[: size[0], : size[1]]
    one = np.exp(-((y - 4) ** 2 + (x - 4) ** 2) / 6)
    return one + 0.8 * np.exp(-((y - 9) ** 2 + (x - 12) ** 2) / 9)


def grow(map: np.ndarray, *, alpha: float = 5.0, noise: float = 0.7, seed: int = 0) -> np.ndarray:
    return reveal_order(map, alpha=alpha, noise=noise, rng=np.random.default_rng(seed))


def by_heap(duration: np.ndarray, first: tuple[int, int]) -> np.ndarray:
    """When each pixel is reached, one at a time (Dijkstra)."""
    arrival = np.full(duration.shape, np.inf)
    arrival[first] = 0
    front = [(0.0, first)]
    while front:
        at, (y, x) = heapq.heappop(front)
        for to in ((y - 1, x), (y, x - 1), (y, x + 1), (y + 1, x)):
            inside = 0 <= to[0] < duration.shape[0] and 0 <= to[1] < duration.shape[1]
            if inside and at + duration[to] < arrival[to]:
                arrival[to] = at + duration[to]
                heapq.heappush(front, (arrival[to], to))
    return arrival


@each_manner
def test_an_order_is_a_permutation_that_begins_at_the_highest_place(alpha, noise):
    order = grow(two_blobs(), alpha=alpha, noise=noise)
    assert order.shape == SIZE and sorted(order.ravel()) == list(range(order.size))
    assert order[4, 4] == 0


@each_manner
def test_what_is_revealed_is_connected_at_every_level(alpha, noise):
    order = grow(two_blobs(), alpha=alpha, noise=noise)
    for count in range(1, order.size + 1):
        region = revealed(order, count)
        assert region.sum() == count and label(region)[1] == 1


def test_a_larger_region_holds_the_smaller_ones():
    order = grow(two_blobs())
    for count in range(order.size):
        assert not (revealed(order, count) & ~revealed(order, count + 1)).any()


@each_manner
def test_the_order_is_that_of_a_search_with_a_heap(alpha, noise):
    map = two_blobs()
    wait = noise * np.random.default_rng(3).standard_normal(SIZE) - alpha * map / map.max()
    arrival = by_heap(np.exp(wait - wait.max()), (4, 4)).ravel()
    order = grow(map, alpha=alpha, noise=noise, seed=3).ravel()
    assert (np.diff(arrival[np.argsort(order)]) >= 0).all()


def test_the_same_seed_gives_the_same_order_and_another_another():
    assert (grow(two_blobs(), seed=1) == grow(two_blobs(), seed=1)).all()
    assert (grow(two_blobs(), seed=1) != grow(two_blobs(), seed=2)).any()


def test_without_alpha_and_noise_the_order_is_that_of_the_city_block_distance():
    order = grow(two_blobs(), alpha=0.0, noise=0.0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    distance = (abs(y - 4) + abs(x - 4)).ravel()[np.argsort(order.ravel())]
    assert (np.diff(distance) >= 0).all()


def test_without_alpha_a_map_says_no_more_than_where_to_begin():
    point = np.zeros(SIZE)
    point[4, 4] = 1
    assert (grow(two_blobs(), alpha=0.0) == grow(point, alpha=0.0)).all()
    assert (grow(two_blobs()) != grow(point)).any()


def test_the_larger_alpha_the_more_of_the_map_is_revealed_early():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    map = np.exp(-((y - 6) ** 2 / 2 + (x - 8) ** 2 / 50))  # long and narrow
    found = []
    for alpha in (0.0, 2.0, 6.0):
        orders = [grow(map, alpha=alpha, seed=seed) for seed in range(10)]
        found.append(np.mean([map[order < 40].sum() / map.sum() for order in orders]))
    assert found[0] + 0.05 < found[1] < found[2]
    assert found[2] > 0.95 * np.sort(map.ravel())[-40:].sum() / map.sum()


def test_scale_of_the_map_changes_nothing():
    assert (grow(two_blobs()) == grow(1000 * two_blobs())).all()


def test_of_a_mask_the_middle_comes_first():
    mask = np.zeros(SIZE)
    mask[5:10, 6:13] = 1
    order = grow(mask)
    assert order[7, 9] == 0
    assert revealed(order, 35)[5:10, 6:13].mean() > 0.9


def test_a_random_order_begins_anywhere_and_is_as_connected():
    orders = [random_order(SIZE, noise=0.5, rng=np.random.default_rng(i)) for i in range(200)]
    begins = np.array([np.argwhere(order == 0)[0] for order in orders])
    assert (abs(begins.mean(axis=0) - (np.array(SIZE) - 1) / 2) < 1).all()
    assert len({*map(tuple, begins)}) > 100
    assert all(label(revealed(order, 50))[1] == 1 for order in orders)


@pytest.mark.parametrize(
    "map", [np.zeros(SIZE), np.full(SIZE, np.nan), -two_blobs(), np.full(SIZE, np.inf)]
)
def test_what_is_no_map_is_refused(map):
    with pytest.raises(ValueError, match="a map from .*; expected finite, >= 0, not all 0"):
        require_map(map)
    with pytest.raises(ValueError, match="expected finite, >= 0, not all 0"):
        grow(map)


def test_parameters_that_make_no_order_are_refused():
    with pytest.raises(ValueError, match="alpha -1.0 and noise 0.7; expected 0 or more of both"):
        grow(two_blobs(), alpha=-1.0)
    with pytest.raises(ValueError, match="expected 0 or more of both"):
        grow(two_blobs(), noise=float("nan"))
    with pytest.raises(ValueError, match="alpha 1000.0 .*: of passages so unlike"):
        grow(two_blobs(), alpha=1000.0)


@pytest.mark.parametrize("count", [1, 50, 200])
def test_a_trail_of_patches_reveals_as_many_pixels_and_hangs_together(count):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        seen = trail_of_patches(SIZE, count, patch=3, step=1.0, noise=0.8, rng=rng)
        assert count <= seen.sum() < count + 9
        assert label(seen)[1] == 1


def test_trails_begin_anywhere_and_are_what_a_partner_sees():
    begins = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        begins.append(np.argwhere(trail_of_patches(SIZE, 1, patch=1, step=1.0, noise=0.8, rng=rng)))
    assert len({tuple(each[0]) for each in begins}) > 100
    # squares as those of the game about the same place
    image = np.full((*SIZE, 3), 7, np.uint8)
    row, col = begins[0][0].tolist()
    rng = np.random.default_rng(0)
    seen = trail_of_patches(SIZE, 1, patch=5, step=1.0, noise=0.8, rng=rng)
    shown = reveal(image, [(col + 0.5, row + 0.5)], patch_px=5, neutral=128)
    assert (seen == (shown[..., 0] == 7)).all()


@pytest.mark.parametrize("count", [0, SIZE[0] * SIZE[1] + 1])
def test_a_trail_of_more_pixels_than_there_are_or_of_none_is_refused(count):
    with pytest.raises(ValueError, match="expected 1 to all of them"):
        trail_of_patches(SIZE, count, patch=3, step=1.0, noise=0.8, rng=np.random.default_rng(0))
