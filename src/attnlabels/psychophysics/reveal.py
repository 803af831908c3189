"""In which order the pixels of an image are revealed: a stochastic flood fill of its map.

Linsley et al. (ICLR 2019, §2.2) grow a region from the most important pixel, by a score that mixes
the distance from it with importance. Theirs is described in words alone; here the fill is
first-passage percolation (Hammersley & Welsh 1965): water enters a pixel from its four neighbours
after a time that is random, and short where the map is high, and the order is that of arrival.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

AROUND = ((-1, 0), (0, -1), (0, 1), (1, 0))  # the four neighbours, in the order of their numbers
TURN = 2 * np.pi
LONGEST = 1e200  # between the longest passage and the shortest; sums of them stay exact enough


def reveal_order(
    map: Float[np.ndarray, "h w"], *, alpha: float, noise: float, rng: np.random.Generator
) -> Int[np.ndarray, "h w"]:
    """The rank of each pixel, from 0 at the map's highest one to h·w - 1.

    Of several highest ones, as a mask has, it begins at the one nearest to their middle.

    Passing into a pixel takes exp(-alpha · a + noise · z), a being its share of the map's largest
    value, in 0..1, and z standard normal. So each pixel but the first has a neighbour of a lower
    rank: the pixels of the ranks below n are 4-connected, whatever n, and more are a superset of
    fewer. With alpha 0 the map has no say but in where it begins: that is the control "distance
    alone"; with noise 0 too, the order is that of the city-block distance.

    Raises ValueError for a map that is negative, not finite or 0 everywhere, for alpha or noise
    below 0, and where both are so large that passages cannot be added up.
    """
    require_map(map)
    rows, cols = np.nonzero(map == map.max())
    nearest = np.argmin((rows - rows.mean()) ** 2 + (cols - cols.mean()) ** 2)
    first = int(rows[nearest] * map.shape[1] + cols[nearest])
    return _fill(map / map.max(), first, alpha=alpha, noise=noise, rng=rng)


def random_order(
    size: tuple[int, int], *, noise: float, rng: np.random.Generator
) -> Int[np.ndarray, "h w"]:
    """The order of a region that begins at a random pixel and knows of no map; (height, width)."""
    first = int(rng.integers(size[0] * size[1]))
    return _fill(np.zeros(size), first, alpha=0.0, noise=noise, rng=rng)


def revealed(order: Int[np.ndarray, "h w"], count: int) -> Bool[np.ndarray, "h w"]:
    """The first `count` pixels of an order."""
    return order < count


def trail_of_patches(
    size: tuple[int, int],
    count: int,
    *,
    patch: int,
    step: float,
    noise: float,
    rng: np.random.Generator,
) -> Bool[np.ndarray, "h w"]:
    """At least `count` pixels in squares of `patch` px along a trail that knows of no map.

    As the partner in the game of `attnlabels collect` sees what is painted. The trail begins at a
    random place and goes `step` px at a time, by an angle of sd `noise` (radians) off the last
    step's; at a border it takes a new direction. Raises ValueError for more than all pixels.
    """
    if not 0 < count <= size[0] * size[1]:
        raise ValueError(f"{count} pixels of {size[0]} x {size[1]}; expected 1 to all of them")
    ends = np.array(size, np.float64)
    at, heading, seen = rng.uniform(0, ends), rng.uniform(0, TURN), np.zeros(size, bool)
    while True:
        top, left = np.floor(at).astype(np.int64) - patch // 2
        seen[max(top, 0) : max(top + patch, 0), max(left, 0) : max(left + patch, 0)] = True
        if np.count_nonzero(seen) >= count:
            return seen
        heading += rng.normal(0, noise)
        there = at + step * np.array([np.sin(heading), np.cos(heading)])
        while not ((there >= 0) & (there < ends)).all():
            heading = rng.uniform(0, TURN)
            there = at + step * np.array([np.sin(heading), np.cos(heading)])
        at = there


def require_map(map: Float[np.ndarray, "h w"]) -> None:
    """Raises ValueError unless the map is finite, nowhere negative and not 0 everywhere."""
    low, high = map.min(), map.max()
    if not (np.isfinite(low) and np.isfinite(high)) or low < 0 or high == 0:
        raise ValueError(f"a map from {low:g} to {high:g}; expected finite, >= 0, not all 0")


def _fill(
    attention: Float[np.ndarray, "h w"],
    first: int,
    *,
    alpha: float,
    noise: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, "h w"]:
    if not (alpha >= 0 and noise >= 0):
        raise ValueError(f"alpha {alpha} and noise {noise}; expected 0 or more of both")
    wait = noise * rng.standard_normal(attention.shape) - alpha * attention
    if np.ptp(wait) > np.log(LONGEST):
        raise ValueError(
            f"alpha {alpha} and noise {noise}: of passages so unlike, the short ones are lost in "
            "sums; take less of both"
        )
    # Relative to the longest, sums neither overflow nor end at 0.
    arrival = dijkstra(_passages(np.exp(wait - wait.max())), indices=first)
    order = np.empty(arrival.size, np.int64)
    # Stable: of pixels that are reached at one time, the one that is named first. Each comes after
    # that from which it was reached, as no passage takes no time.
    order[np.argsort(arrival, kind="stable")] = np.arange(arrival.size)
    return order.reshape(attention.shape)


def _passages(duration: Float[np.ndarray, "h w"]) -> csr_array:
    """The graph of the pixels, by number, with the time that it takes to enter a neighbour.

    The rows of a sparse matrix are put together at once: from pairs of pixels it takes longer than
    the search in it.
    """
    h, w = duration.shape
    number = np.arange(h * w, dtype=np.int32).reshape(h, w)
    inside = np.pad(np.ones((h, w), bool), 1)
    shifted = [(slice(1 + y, 1 + y + h), slice(1 + x, 1 + x + w)) for y, x in AROUND]
    there = np.stack([inside[each] for each in shifted], axis=-1)
    numbers = np.stack([np.pad(number, 1)[each] for each in shifted], axis=-1)[there]
    ends = np.concatenate([[0], np.cumsum(there.sum(axis=-1, dtype=np.int32).ravel())])
    return csr_array((duration.ravel()[numbers], numbers, ends), shape=(h * w, h * w))
