"""Image retrieval by cosine similarity of features (section 4.5 of the paper).

Every score follows from the ranks at which a query's relevant images come back, those of the
query's class: `rank_matches` finds them once.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Integer

# Paper: gives curves over k without its values. These are ours.
K_GRID = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

# Queries compared at a time. It bounds memory and changes no score.
CHUNK = 256


def split_queries(
    n: int, *, n_queries: int, seed: int
) -> tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]]:
    """Indices of the queries and of the gallery, drawn once from the seed; each in order."""
    if not 0 < n_queries < n:
        raise ValueError(f"n_queries={n_queries} of {n} images, expected 1 to {n - 1}")
    drawn = np.random.default_rng(seed).permutation(n)
    return np.sort(drawn[:n_queries]), np.sort(drawn[n_queries:])


def rank_matches(
    queries: Float[np.ndarray, "q d"],
    gallery: Float[np.ndarray, "g d"],
    *,
    query_labels: Integer[np.ndarray, "q"],
    gallery_labels: Integer[np.ndarray, "g"],
) -> list[Int[np.ndarray, "matches"]]:
    """For each query the ranks, from 1 and ascending, of the gallery's images of its class.

    Images equally similar to a query rank in the gallery's order.
    """
    missing = np.setdiff1d(query_labels, gallery_labels)
    if len(missing):
        raise ValueError(
            f"{len(missing)} classes of queries have no image in the gallery, the first "
            f"{missing[0]}; take fewer queries or another seed"
        )
    queries, gallery = _normalised(queries, "queries"), _normalised(gallery, "gallery")
    ranks = []
    for start in range(0, len(queries), CHUNK):
        similarity = queries[start:start + CHUNK] @ gallery.T
        ascending = np.sort(similarity, axis=1)
        for i, label in enumerate(query_labels[start:start + CHUNK]):
            matches = np.flatnonzero(gallery_labels == label)
            ranks.append(_ranks(similarity[i], ascending[i], matches))
    return ranks


def precision_recall(
    ranks: Sequence[Int[np.ndarray, "_"]], *, n_gallery: int
) -> tuple[Float[np.ndarray, "g"], Float[np.ndarray, "g"]]:
    """Precision and recall among the first 1, 2, ..., `n_gallery` images, mean over queries."""
    places = np.concatenate(ranks) - 1
    share = np.concatenate([np.full(len(r), 1 / len(r)) for r in ranks])
    hits = np.bincount(places, minlength=n_gallery).cumsum()
    recalled = np.bincount(places, weights=share, minlength=n_gallery).cumsum()
    k = np.arange(1, n_gallery + 1)
    return hits / (k * len(ranks)), recalled / len(ranks)


def k_grid(n_gallery: int) -> Int[np.ndarray, "_"]:
    """The values of k to report: K_GRID as far as it goes, then the whole gallery."""
    return np.array([*(k for k in K_GRID if k < n_gallery), n_gallery])


def pr_area(precision: Float[np.ndarray, "g"], recall: Float[np.ndarray, "g"]) -> float:
    """Area under the mean curve over every k, its first precision held down to recall 0."""
    return float(np.trapezoid(np.r_[precision[0], precision], np.r_[0.0, recall]))


def mean_average_precision(ranks: Sequence[Int[np.ndarray, "_"]]) -> float:
    """Mean over queries of the mean precision at each relevant image's rank."""
    return float(np.mean([np.mean(np.arange(1, len(r) + 1) / r) for r in ranks]))


def _normalised(features: np.ndarray, name: str) -> np.ndarray:
    features = features.astype(np.float32)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    bad = ~(np.isfinite(norms) & (norms > 0))[:, 0]
    if bad.any():
        raise ValueError(
            f"{name}: features of image {bad.argmax()} and {bad.sum() - 1} more are all 0 or not "
            "finite, so they have no cosine similarity"
        )
    return features / norms


def _ranks(similarity: np.ndarray, ascending: np.ndarray, matches: np.ndarray) -> np.ndarray:
    """Ranks of the gallery's `matches`, from one query's similarities and the same sorted."""
    values = similarity[matches]
    not_above = np.searchsorted(ascending, values, side="right")
    ranks = len(ascending) - not_above + 1
    tied = not_above - np.searchsorted(ascending, values, side="left") > 1
    for j in np.flatnonzero(tied):
        ranks[j] += np.count_nonzero(similarity[:matches[j]] == values[j])
    return np.sort(ranks)
