import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch

from attnlabels.labelling.pseudo_fixations import pseudo_fixations


def one_by_one(
    m: np.ndarray, *, sigma_px: float, threshold: float, maximum: int
) -> list[tuple[int, int]]:
    """The rule of the paper, pixel by pixel on one map."""
    left, first = m.astype(np.float64), float(m.max())
    if first - float(m.min()) <= 1e-6 * first:
        return []
    gaussian = [math.exp(-(d**2) / (2 * sigma_px**2)) for d in range(max(m.shape))]
    points: list[tuple[int, int]] = []
    while len(points) < maximum:
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        peak = left[y, x]
        if peak < threshold * first:
            break
        points.append((int(y), int(x)))
        for r, c in np.ndindex(*left.shape):
            blob = peak * gaussian[abs(r - y)] * gaussian[abs(c - x)]
            left[r, c] = max(0.0, left[r, c] - blob)
    return points


def blobs(h: int, w: int, *centres: tuple[int, int], sigma_px: float) -> torch.Tensor:
    r, c = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    each = [torch.exp(-((r - y) ** 2 + (c - x) ** 2) / (2 * sigma_px**2)) for y, x in centres]
    return torch.stack(each).sum(0)


def spread_centres(n: int, size: int, *, apart: float, seed: int) -> list[tuple[int, int]]:
    """`n` integer centres at least `apart` from each other and half of it from the border."""
    draw = np.random.default_rng(seed)
    centres: list[tuple[int, int]] = []
    margin = math.ceil(apart / 2)
    while len(centres) < n:
        y, x = (int(v) for v in draw.integers(margin, size - margin, 2))
        if all(math.hypot(y - v, x - u) >= apart for v, u in centres):
            centres.append((y, x))
    return centres


def random_maps(n: int, h: int, w: int, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, h, w, generator=torch.Generator().manual_seed(seed))


def found(points: torch.Tensor, counts: torch.Tensor, image: int) -> list[tuple[int, ...]]:
    return [tuple(p) for p in points[image, : int(counts[image])].tolist()]


@pytest.mark.parametrize("n", range(1, 7))
def test_blobs_far_apart_are_found_exactly(n: int) -> None:
    sigma = 2.0
    centres = [spread_centres(n, 64, apart=6 * sigma, seed=seed) for seed in range(10)]
    maps = torch.stack([blobs(64, 64, *c, sigma_px=sigma) for c in centres])
    points, counts = pseudo_fixations(maps, sigma_px=sigma, threshold=0.2, maximum=64)
    for i, expected in enumerate(centres):
        assert sorted(found(points, counts, i)) == sorted(expected)


def test_blobs_two_and_a_half_sigma_apart_are_counted_and_placed() -> None:
    sigma = 6.0
    for seed in range(10):
        centres = spread_centres(6, 96, apart=2.5 * sigma, seed=seed)
        points, counts = pseudo_fixations(
            blobs(96, 96, *centres, sigma_px=sigma)[None],
            sigma_px=sigma,
            threshold=0.2,
            maximum=64,
        )
        assert counts.item() == 6
        for point in found(points, counts, 0):
            assert min(math.dist(point, centre) for centre in centres) <= 1.5


@pytest.mark.parametrize("h, w, sigma_px", [(24, 24, 0.7), (14, 9, 1.5), (8, 31, 4.0)])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 1.0])
def test_batch_equals_one_by_one(h: int, w: int, sigma_px: float, threshold: float) -> None:
    maps = random_maps(6, h, w) ** 4
    points, counts = pseudo_fixations(maps, sigma_px=sigma_px, threshold=threshold, maximum=40)
    for i, m in enumerate(maps.numpy()):
        expected = one_by_one(m, sigma_px=sigma_px, threshold=threshold, maximum=40)
        assert found(points, counts, i) == expected


def by_whole_gaussians(m: np.ndarray, *, sigma_px: float, threshold: float) -> list[tuple]:
    """The rule in numpy, a Gaussian over the whole map at a time.

    The Gaussian is the product of that down and that across, as ours is: the exponential of the
    sum is another in its last bit, and that decides between pixels that tie.
    """
    left, points = m.astype(np.float64), []
    least = threshold * left.max()
    rows, cols = np.indices(m.shape)
    profile = np.exp(-(np.arange(max(m.shape)) ** 2) / (2 * sigma_px**2))
    while True:
        y, x = np.unravel_index(int(left.argmax()), left.shape)
        peak = left[y, x]
        if peak < least:
            return points
        points.append((int(y), int(x)))
        left -= peak * (profile[abs(rows - y)] * profile[abs(cols - x)])


@pytest.mark.parametrize("h, w, n", [(224, 224, 24), (480, 640, 6), (56, 56, 100)])
@pytest.mark.parametrize("threshold", [0.05, 0.2])
def test_points_are_those_of_whole_gaussians(h: int, w: int, n: int, threshold: float) -> None:
    sigma, draw = 19 * w / 640, np.random.default_rng(h)
    maps = np.zeros((n, h, w))
    for m in maps:
        for _ in range(draw.integers(1, 25)):
            y, x = int(draw.integers(h)), int(draw.integers(w))
            wide = sigma * draw.uniform(0.7, 2)
            m += draw.uniform(0.1, 1) * blobs(h, w, (y, x), sigma_px=wide).numpy()
    single = maps.astype(np.float32)
    points, counts = pseudo_fixations(
        torch.from_numpy(single), sigma_px=sigma, threshold=threshold, maximum=400
    )
    for i, m in enumerate(single):
        expected = by_whole_gaussians(m, sigma_px=sigma, threshold=threshold)
        assert found(points, counts, i) == expected
    assert counts.double().mean() > 4 and counts.max() < 400


@pytest.mark.parametrize("apart, first", [(12, "far"), (17, "far"), (18, "near")])
@pytest.mark.parametrize("turned", [False, True])
def test_a_gaussian_reaches_as_far_as_double_does(apart: int, first: str, turned: bool) -> None:
    """At 6 σ it takes 2e-8 of its height, at 8.5 σ a last bit, and beyond 8.8 σ none."""
    m = torch.zeros(40, 40)
    peak, near, far = (0, 0), (apart, 0), (39, 39)
    m[peak], m[near], m[far] = 1, 0.5, 0.5
    order = [peak, near, far] if first == "near" else [peak, far, near]
    if turned:
        m, order = m.T, [each[::-1] for each in order]
    points, counts = pseudo_fixations(m[None], sigma_px=2.0, threshold=0.2, maximum=9)
    assert found(points, counts, 0) == order


def test_half_precision_and_views_of_maps_are_searched_like_copies_in_single() -> None:
    m = random_maps(2, 20, 24).bfloat16()
    search = partial(pseudo_fixations, sigma_px=1.5, threshold=0.2, maximum=30)
    expected = search(m[:, ::2, ::2].float().clone())
    for got, want in zip(search(m[:, ::2, ::2]), expected):
        assert torch.equal(got, want)


def test_each_map_is_searched_alone_in_a_mixed_batch() -> None:
    sigma = 2.0
    maps = torch.stack(
        [
            torch.zeros(20, 24),
            blobs(20, 24, (5, 5), sigma_px=sigma),
            torch.full((20, 24), 0.5),
            random_maps(1, 20, 24)[0],
            blobs(20, 24, (5, 5), (14, 18), sigma_px=sigma),
        ]
    )
    search = partial(pseudo_fixations, sigma_px=sigma, threshold=0.2, maximum=30)
    points, counts = search(maps)
    assert counts[[0, 1, 2, 4]].tolist() == [0, 1, 0, 2]
    for i in range(5):
        alone, count = search(maps[i : i + 1])
        assert torch.equal(points[i], alone[0]) and counts[i] == count[0]


def test_result_is_padded_with_minus_one() -> None:
    maps = torch.stack([blobs(12, 12, (3, 4), sigma_px=1.0), torch.zeros(12, 12)])
    points, counts = pseudo_fixations(maps, sigma_px=1.0, threshold=0.2, maximum=5)
    assert points.dtype == torch.int16 and counts.dtype == torch.int64
    assert points[0].tolist() == [[3, 4]] + 4 * [[-1, -1]]
    assert points[1].eq(-1).all()


@pytest.mark.parametrize("sigma_px", [0.1, 0.7, 3.0])
def test_no_point_is_found_twice_and_the_search_ends(sigma_px: float) -> None:
    maps = 0.5 + 0.5 * random_maps(4, 6, 7)  # nothing below the threshold to begin with
    points, counts = pseudo_fixations(maps, sigma_px=sigma_px, threshold=0.2, maximum=1000)
    for i in range(4):
        places = found(points, counts, i)
        assert 0 < len(places) <= 6 * 7
        assert len(set(places)) == len(places)


def test_peaks_never_rise_and_stay_above_the_threshold() -> None:
    m = random_maps(1, 16, 16)
    points, counts = pseudo_fixations(m, sigma_px=1.0, threshold=0.3, maximum=256)
    left, peaks = m[0].double(), []
    for y, x in found(points, counts, 0):
        peaks.append(left[y, x].item())
        left = (left - left[y, x] * blobs(16, 16, (y, x), sigma_px=1.0)).clamp(min=0)
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] >= 0.3 * m.max() > left.max()


def test_ties_go_to_the_first_in_reading_order() -> None:
    m = torch.zeros(1, 9, 9)
    for y, x in [(7, 1), (1, 7), (1, 1), (7, 7)]:
        m[0, y, x] = 1
    points, counts = pseudo_fixations(m, sigma_px=0.5, threshold=0.2, maximum=9)
    assert found(points, counts, 0) == [(1, 1), (1, 7), (7, 1), (7, 7)]


def test_scale_of_the_map_changes_nothing() -> None:
    m = random_maps(3, 12, 12)
    search = partial(pseudo_fixations, sigma_px=1.0, threshold=0.2, maximum=64)
    points, counts = search(m)
    for scale in (2.0**-20, 2.0**10):  # exact in binary
        scaled, scaled_counts = search(scale * m)
        assert torch.equal(points, scaled) and torch.equal(counts, scaled_counts)


def test_turning_the_map_turns_its_points() -> None:
    m = random_maps(1, 10, 14)
    search = partial(pseudo_fixations, sigma_px=1.0, threshold=0.2, maximum=64)
    points, counts = search(m)
    turned, turned_counts = search(m.transpose(1, 2))
    assert [p[::-1] for p in found(turned, turned_counts, 0)] == found(points, counts, 0)


@pytest.mark.parametrize("value", [0.0, 1e-12, 0.1, 1.0, 65535.0])
def test_constant_map_has_no_points(value: float) -> None:
    points, counts = pseudo_fixations(
        torch.full((2, 5, 5), value), sigma_px=1.0, threshold=0.2, maximum=4
    )
    assert counts.eq(0).all() and points.eq(-1).all()


def test_rounding_of_a_constant_map_is_no_peak() -> None:
    m = torch.full((1, 8, 8), 1 / 64) * (1 + 2e-7 * random_maps(1, 8, 8))
    assert m.unique().numel() > 1
    _, counts = pseudo_fixations(m, sigma_px=1.0, threshold=0.2, maximum=4)
    assert counts.item() == 0


def test_no_maps_give_no_points() -> None:
    points, counts = pseudo_fixations(torch.zeros(0, 5, 5), sigma_px=1.0, threshold=0.2, maximum=4)
    assert points.shape == (0, 4, 2) and counts.shape == (0,)


def test_maps_are_left_as_they_were() -> None:
    m = random_maps(2, 5, 5).double()
    before = m.clone()
    pseudo_fixations(m, sigma_px=1.0, threshold=0.2, maximum=4)
    assert torch.equal(m, before)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-3])
def test_refuses_values_that_no_map_has(value: float) -> None:
    m = random_maps(3, 4, 4)
    m[1, 2, 3] = value
    with pytest.raises(ValueError, match=r"maps \[1\] of 3"):
        pseudo_fixations(m, sigma_px=1.0, threshold=0.2, maximum=4)


@pytest.mark.parametrize("sigma_px, threshold", [(0.0, 0.2), (-1.0, 0.2), (1.0, 0.0), (1.0, 1.1)])
def test_refuses_settings_that_cannot_end(sigma_px: float, threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        pseudo_fixations(random_maps(1, 4, 4), sigma_px=sigma_px, threshold=threshold, maximum=4)


def test_blobs_on_the_border_are_found() -> None:
    corners = list(itertools.product((0, 19), (0, 23)))
    points, counts = pseudo_fixations(
        blobs(20, 24, *corners, sigma_px=1.5)[None], sigma_px=1.5, threshold=0.2, maximum=9
    )
    assert sorted(found(points, counts, 0)) == corners
