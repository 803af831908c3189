"""Weighted nearest neighbours on frozen features: Wu et al., CVPR 2018; Caron et al., ICCV 2021.

As facebookresearch/dino (eval_knn.py): cosine similarity, a neighbour's vote weighs exp(s / 0.07).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64

from attnlabels.metrics.directions import scale_rows
from attnlabels.metrics.linear_probe import among_largest, split
from attnlabels.metrics.search import Number, search

TEMPERATURE = 0.07
CELLS = 2**24  # similarities at a time, 64 MB; changes no result
BLOCK = 2048  # training images whose features are in float32 at a time; changes no result


class Knn(NamedTuple):
    """How many neighbours vote, and the score that this was chosen by."""

    k: int
    development_top1: float


def choose_k(
    x: Float[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    *,
    k: Sequence[int],
    development: float,
    seed: int,
) -> Knn:
    """The best of the `k`, where a part of the training images asks the rest of them.

    The part is the linear probe's: drawn by `seed`. Where the least or the largest k is best, more
    follow, to 1 and to the number of the rest. A tie goes to the k tried first, of `k` the smaller;
    one above the number of the rest is not tried.
    """
    held_out, rest = split(len(x), development, seed=seed)
    possible = sorted(each for each in k if each <= len(rest))
    if not possible:
        raise ValueError(f"k = {min(k)} neighbours of {len(rest)} training images; take fewer")
    n_classes = int(y.max()) + 1

    def score(numbers: Sequence[Number]) -> Iterator[tuple[Number, float]]:
        hits = dict.fromkeys(map(int, numbers), 0)
        for rows, order, similarity in _neighbours(x, held_out, x, rest, n=max(hits)):
            for each in hits:
                z = _votes(y[rest][order[:, :each]], similarity[:, :each], n_classes=n_classes)
                hits[each] += int(among_largest(z, y[rows], k=1).sum())
        return ((each, found / len(held_out)) for each, found in hits.items())

    # All numbers there can be are within the limits: nothing better lies beyond them.
    best = search(possible, score, least=1, most=len(rest), whole=True)
    return Knn(int(best.value), best.score)


def score_knn(
    chosen: Knn,
    x: Float[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    test_x: Float[np.ndarray, "m d"],
    test_y: Int64[np.ndarray, "m"],
) -> dict[str, int | float]:
    """What a report says of the test images, all training images voting: k, development_top1, n,
    top1 and, of more than five classes, top5."""
    n_classes = int(y.max()) + 1
    tops = [each for each in (1, 5) if each < n_classes]
    hits = dict.fromkeys(tops, 0)
    everything = np.arange(len(x))
    for rows, order, similarity in _neighbours(
        test_x, np.arange(len(test_x)), x, everything, n=chosen.k
    ):
        z = _votes(y[order], similarity, n_classes=n_classes)
        for each in tops:
            hits[each] += int(among_largest(z, test_y[rows], k=each).sum())
    shares = {f"top{each}": hits[each] / len(test_y) for each in tops}
    return {**chosen._asdict(), "n": len(test_y), **shares}


def _neighbours(
    x: np.ndarray, asking: np.ndarray, stored: np.ndarray, rows: np.ndarray, *, n: int
) -> Iterator[tuple[Int[np.ndarray, "q"], Int[np.ndarray, "q n"], Float32[np.ndarray, "q n"]]]:
    """Rows of `x` that ask; the places in `rows` of their `n` nearest, in order; how near."""
    size = max(1, CELLS // len(rows))
    for first in range(0, len(asking), size):
        chosen = asking[first : first + size]
        queries = _normalised(x[chosen])
        similarity = np.empty((len(chosen), len(rows)), np.float32)
        for start in range(0, len(rows), BLOCK):
            block = _normalised(stored[rows[start : start + BLOCK]])
            similarity[:, start : start + BLOCK] = queries @ block.T
        nearest = np.argpartition(-similarity, n - 1, axis=1)[:, :n]
        near = np.take_along_axis(similarity, nearest, axis=1)
        order = np.argsort(-near, axis=1, kind="stable")
        yield (
            chosen,
            np.take_along_axis(nearest, order, axis=1),
            np.take_along_axis(near, order, axis=1),
        )


def _votes(
    labels: Int64[np.ndarray, "q n"], similarity: Float32[np.ndarray, "q n"], *, n_classes: int
) -> Float64[np.ndarray, "q k"]:
    votes = np.zeros((len(labels), n_classes))
    weights = np.exp(similarity.astype(np.float64) / TEMPERATURE)
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), weights)
    return votes


def _normalised(features: np.ndarray) -> Float32[np.ndarray, "n d"]:
    chosen = features.astype(np.float32)
    scale_rows(chosen)
    if not np.isfinite(chosen).all():
        raise ValueError("features that are not finite; encode the images again, in fp32")
    # A feature vector of zeros is near to nothing; it takes no image's vote away.
    return chosen / np.maximum(np.linalg.norm(chosen, axis=1, keepdims=True), 0.5)
