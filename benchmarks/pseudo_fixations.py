"""Time the search for pseudo fixations against the plain loop in numpy, by the limits below.

    python benchmarks/pseudo_fixations.py

The maps are sums of Gaussians of SALICON's width (19 pixels at 640), with about 11 points each. The
loop takes one map at a time: the highest point of the map, minus a Gaussian over the whole map,
until what is left is low. Both run on one thread and in turns, in double, and must find the same
points in the same order. Leaves with status 1 if they do not, or if a limit is missed. About half
a minute on one core.
"""

import numpy as np
import torch
from ratios import Bound, in_turns, ratios, report

from attnlabels.labelling.pseudo_fixations import pseudo_fixations

SIGMA_PX, SIGMA_WIDTH = 19.0, 640
THRESHOLD, MAXIMUM = 0.2, 64
LEAST_FASTER = {(224, 224): 15.0, (480, 640): 18.0}
MAPS = 64  # the stage's batch
ROUNDS = 9


def main() -> None:
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {}
    bounds: list[Bound] = []
    for (h, w), least in LEAST_FASTER.items():
        of_size, faster = measure(MAPS, h, w, rounds=ROUNDS)
        seconds |= of_size
        bounds.append(Bound(f"times as fast at {h} × {w}", faster, least, True, ""))
    report(seconds, bounds)


def measure(n: int, h: int, w: int, *, rounds: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of both for `n` maps, and how many times as fast ours are."""
    sigma_px = SIGMA_PX * w / SIGMA_WIDTH
    maps = sums_of_gaussians(n, h, w, sigma_px=sigma_px)
    batch = torch.from_numpy(maps)
    expected = [by_loop(m, sigma_px=sigma_px) for m in maps]
    points, counts = search(batch, sigma_px=sigma_px)
    found = [each[:k].tolist() for each, k in zip(points, counts.tolist())]
    if found != expected:
        wrong = [i for i in range(n) if found[i] != expected[i]]
        raise SystemExit(f"other points than the loop's in maps {wrong} of {n} at {h} × {w}")
    about = f"{n} maps of {h} × {w}, {counts.double().mean():.1f} points each"
    seconds = in_turns(
        {
            f"ours, {about}": lambda: search(batch, sigma_px=sigma_px),
            f"loop, {about}": lambda: [by_loop(m, sigma_px=sigma_px) for m in maps],
        },
        rounds=rounds,
    )
    ours, loop = seconds.values()
    return seconds, ratios(loop, ours)


def search(maps: torch.Tensor, *, sigma_px: float) -> tuple[torch.Tensor, torch.Tensor]:
    return pseudo_fixations(maps, sigma_px=sigma_px, threshold=THRESHOLD, maximum=MAXIMUM)


def by_loop(m: np.ndarray, *, sigma_px: float) -> list[list[int]]:
    left = m.astype(np.float64)
    least = THRESHOLD * left.max()
    rows, cols = np.indices(left.shape)
    points: list[list[int]] = []
    while len(points) < MAXIMUM:
        y, x = np.unravel_index(left.argmax(), left.shape)
        peak = left[y, x]
        if peak < least:
            break
        points.append([int(y), int(x)])
        left -= peak * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * sigma_px**2))
    return points


def sums_of_gaussians(n: int, h: int, w: int, *, sigma_px: float) -> np.ndarray:
    """Maps [n, h, w] in single precision, of 8 to 14 Gaussians half as high as others at least."""
    rng = np.random.default_rng(0)
    maps = np.zeros((n, h, w))
    for m in maps:
        for _ in range(rng.integers(8, 15)):
            y, x, height = rng.integers(h), rng.integers(w), rng.uniform(0.5, 1)
            down, across = (
                np.exp(-((np.arange(size) - at) ** 2) / (2 * sigma_px**2))
                for size, at in ((h, y), (w, x))
            )
            m += height * np.outer(down, across)
    return maps.astype(np.float32)


if __name__ == "__main__":
    main()
