"""Time the order of reveal of an image against a plain heap's in Python, by the limits below.

    python benchmarks/reveal_order.py

Of a map of two blobs at 256 x 256 px, with the noise and alpha of `experiment make`. Both reach the
pixels in the same order, or it says so and leaves with status 1. One thread, in turns. Some twenty
seconds on one core.
"""

import heapq

import numpy as np
from ratios import Bound, in_turns, ratios, report

from attnlabels.psychophysics.reveal import reveal_order

SIDE = 256
ALPHA, NOISE = 6.0, 0.5
ROUNDS = 9


def main() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    map = np.exp(-((y - 100) ** 2 + (x - 80) ** 2) / 800)
    map += 0.8 * np.exp(-((y - 140) ** 2 + (x - 160) ** 2) / 1200)

    def ours() -> np.ndarray:
        return reveal_order(map, alpha=ALPHA, noise=NOISE, rng=np.random.default_rng(0))

    if not (ours() == by_heap(map)).all():
        raise SystemExit("the two orders differ")
    seconds = in_turns({"ours": ours, "a heap in Python": lambda: by_heap(map)}, rounds=ROUNDS)
    bounds = [
        Bound("times as fast as a heap", ratios(*reversed(seconds.values())), 4, True, ""),
        Bound("an image", [1e3 * each for each in seconds["ours"]], 50, False, " ms"),
    ]
    report(seconds, bounds)


def by_heap(map: np.ndarray) -> np.ndarray:
    """One pixel after another, that which is reached next (Dijkstra)."""
    rng = np.random.default_rng(0)
    wait = NOISE * rng.standard_normal(map.shape) - ALPHA * map / map.max()
    duration = np.exp(wait - wait.max()).ravel().tolist()
    first, order = int(map.argmax()), np.zeros(map.size, np.int64)
    arrival = [np.inf] * map.size
    arrival[first] = 0.0
    front, rank = [(0.0, first)], 0
    done = [False] * map.size
    while front:
        at, here = heapq.heappop(front)
        if done[here]:
            continue
        done[here], order[here] = True, rank
        rank += 1
        row, col = divmod(here, SIDE)
        around = [here - SIDE] * (row > 0) + [here - 1] * (col > 0)
        around += [here + 1] * (col < SIDE - 1) + [here + SIDE] * (row < SIDE - 1)
        for to in around:
            if not done[to] and at + duration[to] < arrival[to]:
                arrival[to] = at + duration[to]
                heapq.heappush(front, (arrival[to], to))
    return order.reshape(map.shape)


if __name__ == "__main__":
    main()
