"""Score retrieval at ImageNet's size and look at the bounds below, on one thread.

    PYTHONPATH=src python benchmarks/retrieval.py QUERIES GALLERY DIMENSIONS ROUNDS

The paper's: 5000 45000 2048. Features are random float16, none negative, as after a ReLU
(torchmetrics takes nothing of negative similarity for relevant), in up to a thousand classes.
Timed in turns:

- `retrieve`, from the features to the full curve and its scores;
- the product of the normalised float32 matrices alone, into memory that is there;
- for some queries, average precision from similarities that are given: ours with the full curve,
  torchmetrics' and scikit-learn's.

Memory is what `retrieve` holds at most beside the features, as Python allocates it. Brute force
sorts the whole gallery for each of some queries, whose features have products that are exact in
float32, so that nothing is left to rounding; it meets many ties. Leaves with status 1 if a bound is
missed. The paper's size takes a minute a round and 2 GB.
"""

import sys
import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from ratios import Bound, in_turns, ratios, report
from sklearn.metrics import average_precision_score
from threadpoolctl import threadpool_limits
from torchmetrics.functional.retrieval import retrieval_average_precision

from attnlabels.metrics.retrieval import (
    rank_matches,
    ranks_of,
    retrieve,
    score_ranks,
    split_queries,
)

MOST_OF_PRODUCT = 1.5
MOST_EXTRA_MB = 250
LEAST_FASTER = 4.5
MOST_DIFFERENT = 1e-9
CHUNK = 250  # queries of which the product is taken at a time
N_SCORED = 30  # queries whose metric is timed alone
N_SORTED = 300  # queries that brute force sorts the gallery for


def main() -> None:
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    q, g, d, rounds = map(int, sys.argv[1:])
    report(*measure(q, g, d, rounds=rounds))


def measure(q: int, g: int, d: int, *, rounds: int) -> tuple[dict[str, list[float]], list[Bound]]:
    """Seconds by way and round, and the bounds."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        return _measure(q, g, d, rounds=rounds)


def _measure(q: int, g: int, d: int, *, rounds: int) -> tuple[dict[str, list[float]], list[Bound]]:
    rng = np.random.default_rng(0)
    features, labels = np.empty((q + g, d), np.float16), spread_labels(q + g, rng=rng)
    for first in range(0, len(features), 1000):  # of float64, some at a time
        block = features[first : first + 1000]
        block[:] = np.abs(rng.standard_normal(block.shape))
    split = split_queries(q + g, n_queries=q, seed=0)

    def whole() -> None:
        retrieve(features, features, labels=labels, split=split)

    queries, gallery = (normalised(features[rows]) for rows in split)
    product = np.empty((min(CHUNK, q), g), np.float32)

    similarity = queries[:N_SCORED] @ gallery.T
    relevant = [labels[split[1]] == label for label in labels[split[0][:N_SCORED]]]
    tensors = [
        (torch.from_numpy(row), torch.from_numpy(mask)) for row, mask in zip(similarity, relevant)
    ]

    def ours() -> float:
        ranks = (ranks_of(np.flatnonzero(mask), row) for row, mask in zip(similarity, relevant))
        return score_ranks(ranks, n_gallery=g).map

    def torchmetrics() -> float:
        return float(np.mean([float(retrieval_average_precision(*each)) for each in tensors]))

    def scikit_learn() -> float:
        pairs = zip(relevant, similarity)
        return float(np.mean([average_precision_score(mask, row) for mask, row in pairs]))

    scored = (ours(), torchmetrics(), scikit_learn())
    if max(scored) - min(scored) > 1e-5:  # torchmetrics' is in float32
        raise SystemExit(f"the three disagree on the mean average precision: {scored}")
    n = len(tensors)
    ways = {
        f"{q} x {g} x {d}, full curve": whole,
        "float32 product alone": partial(multiply, queries, gallery, product),
        f"metric of {n} queries, ours": ours,
        f"metric of {n} queries, torchmetrics": torchmetrics,
        f"metric of {n} queries, scikit-learn": scikit_learn,
    }
    seconds = in_turns(ways, rounds=rounds)
    curve, alone, mine, theirs, learnt = seconds.values()
    del ways, queries, gallery, product
    return seconds, [
        Bound("full curve, of the product", ratios(curve, alone), MOST_OF_PRODUCT, False, ""),
        Bound("memory beside the features", [extra_mb(whole)], MOST_EXTRA_MB, False, " MB"),
        Bound("from brute force", [difference(q, g, rng=rng)], MOST_DIFFERENT, False, ""),
        Bound("metric, against torchmetrics", ratios(theirs, mine), LEAST_FASTER, True, "x"),
        Bound("metric, against scikit-learn", ratios(learnt, mine), LEAST_FASTER, True, "x"),
    ]


def spread_labels(n: int, *, rng: np.random.Generator) -> np.ndarray:
    """Up to a thousand classes of as many images each, at least 20, in random order."""
    return rng.permutation(np.arange(n) % max(1, min(1000, n // 20)))


def normalised(features: np.ndarray) -> np.ndarray:
    wide = features.astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    return wide


def multiply(queries: np.ndarray, gallery: np.ndarray, product: np.ndarray) -> None:
    """The products of all queries with the gallery, some at a time and each into the same place."""
    for first in range(0, len(queries), CHUNK):
        block = queries[first : first + CHUNK]
        np.matmul(block, gallery.T, out=product[: len(block)])


def extra_mb(whole: Callable[[], object]) -> float:
    """The most that a call allocates at a time."""
    tracemalloc.start()
    whole()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def difference(q: int, g: int, *, rng: np.random.Generator) -> float:
    """The largest between ours and brute force of mAP, R-precision, precision and recall."""
    q = min(q, N_SORTED)
    features = np.zeros((q + g, 96), np.float16)
    for row in features:  # 64 of them ±1: the norm is 8, and a product a multiple of 1/64
        row[rng.permutation(96)[:64]] = rng.choice((-1, 1), 64)
    labels = spread_labels(q + g, rng=rng)
    split = split_queries(q + g, n_queries=q, seed=0)
    ranks = rank_matches(features, features, labels=labels, split=split)
    found = score_ranks(ranks, n_gallery=g)
    asked, stored = (normalised(features[rows]).astype(np.float64) for rows in split)
    averages, shares = [], []
    precision, recall = np.zeros(g), np.zeros(g)
    for query, label in zip(asked, labels[split[0]]):
        hits = (labels[split[1]] == label)[np.argsort(-(stored @ query), kind="stable")]
        counted = hits.cumsum()
        averages.append((counted / np.arange(1, g + 1))[hits].mean())
        shares.append(counted[hits.sum() - 1] / hits.sum())
        precision += counted / np.arange(1, g + 1)
        recall += counted / hits.sum()
    apart = (
        found.map - np.mean(averages),
        found.r_precision - np.mean(shares),
        found.precision - precision / q,
        found.recall - recall / q,
    )
    return max(float(np.abs(each).max()) for each in apart)


if __name__ == "__main__":
    main()
