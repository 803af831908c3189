"""Image retrieval by cosine similarity of features (section 4.5 of the paper).

Every score follows from the ranks at which a query's relevant images come back, those of the
query's class: `rank_matches` finds them once.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer

from attnlabels.metrics.directions import scale_rows

# Paper: gives curves over k without its values. These are ours.
K_GRID = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)

# Queries, rows of the gallery and similarities at a time. They bound memory and change no score.
CHUNK = 1024
BLOCK = 2048
CELLS = 2**25  # 128 MB; with half of them ImageNet's gallery is read twice as often
N_NAMED = 5  # of many classes, so many are named
PIECE = 128  # features that are made of length 1 at a time; they stay in the cache

# A sort of g similarities takes as long as some 2 log2(g) counts of those above one of them, since
# NumPy sorts with AVX2 and its like.
PASSES = 2


class Found(NamedTuple):
    """Mean average precision; precision and recall among the first 1, 2, ..., g images; and
    R-precision, that among as many images as are relevant."""

    map: float
    precision: Float[np.ndarray, "g"]
    recall: Float[np.ndarray, "g"]
    r_precision: float


def split_queries(
    n: int, *, n_queries: int, seed: int
) -> tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]]:
    """Indices of the queries and of the gallery, drawn once from the seed; each in order."""
    if not 0 < n_queries < n:
        raise ValueError(f"n_queries={n_queries} of {n} images, expected 1 to {n - 1}")
    drawn = np.random.default_rng(seed).permutation(n)
    return np.sort(drawn[:n_queries]), np.sort(drawn[n_queries:])


def require_matches(
    labels: Integer[np.ndarray, "n"],
    split: tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]],
    *,
    classes: Sequence[str] = (),
) -> None:
    """Raise ValueError unless each query has an image of its class in the gallery.

    `classes` are the labels' names, if they have any.
    """
    asked, stored = split
    missing = np.setdiff1d(labels[asked], labels[stored]).tolist()
    if missing:
        named = [repr(classes[i]) if classes else str(i) for i in missing[:N_NAMED]]
        more = f" and {len(missing) - N_NAMED} more" if missing[N_NAMED:] else ""
        raise ValueError(
            f"no image of the gallery is of class {', '.join(named)}{more}: all of it ask; take "
            "fewer queries, another seed or more images"
        )


def rank_matches(
    queries: Float[np.ndarray, "n d"],
    gallery: Float[np.ndarray, "n d"],
    *,
    labels: Integer[np.ndarray, "n"],
    split: tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]],
) -> Iterator[Int[np.ndarray, "matches"]]:
    """For each query the ranks, from 1 and ascending, of the gallery's images of its class.

    `split` has the rows of `queries` that ask and those of `gallery` that are ranked; both may be
    mapped from files. Images equally similar to a query rank in the gallery's order. Raises
    ValueError for a query without any match, and for features that have no direction.
    """
    require_matches(labels, split)
    asked, stored = split
    gallery_labels = labels[stored]
    size = min(CHUNK, max(1, CELLS // len(stored)))
    memory = np.empty((min(size, len(asked)), len(stored)), np.float32)
    room = np.empty((min(BLOCK, len(stored)), gallery.shape[1]), np.float32)
    for start in range(0, len(asked), size):
        rows = asked[start : start + size]
        chunk = np.empty((len(rows), queries.shape[1]), np.float32)
        _normalise(queries, rows, "queries", out=chunk)
        similarity = memory[: len(chunk)]
        for first in range(0, len(stored), BLOCK):
            rows = stored[first : first + BLOCK]
            block = room[: len(rows)]
            _normalise(gallery, rows, "gallery", out=block)
            similarity[:, first : first + BLOCK] = chunk @ block.T
        for row, label in zip(similarity, labels[asked[start : start + size]]):
            yield ranks_of(np.flatnonzero(gallery_labels == label), row)


def ranks_of(
    matches: Int[np.ndarray, "matches"], similarity: Float[np.ndarray, "g"]
) -> Int[np.ndarray, "matches"]:
    """Ranks of the gallery's `matches`, from 1 and ascending, by its similarities to one query."""
    values = similarity[matches]
    if len(matches) < PASSES * np.log2(len(similarity)):
        before = [
            np.count_nonzero(similarity[:j] >= value) + np.count_nonzero(similarity[j:] > value)
            for j, value in zip(matches, values)
        ]
        return np.sort(before) + 1
    ascending = np.sort(similarity)
    not_above = np.searchsorted(ascending, values, side="right")
    ranks = len(ascending) - not_above + 1
    tied = not_above - np.searchsorted(ascending, values, side="left") > 1
    for j in np.flatnonzero(tied):
        ranks[j] += np.count_nonzero(similarity[: matches[j]] == values[j])
    return np.sort(ranks)


def score_ranks(ranks: Iterable[Int[np.ndarray, "_"]], *, n_gallery: int) -> Found:
    """The scores of all queries, each a mean over them; of each query, the matches' ranks.

    A query's average precision is the mean of the precision at each relevant image's rank.
    """
    hits, recalled = np.zeros(n_gallery, np.int64), np.zeros(n_gallery)
    averages, among_relevant = [], []
    for found in ranks:
        hits[found - 1] += 1
        recalled[found - 1] += 1 / len(found)
        averages.append(np.mean(np.arange(1, len(found) + 1) / found))
        among_relevant.append(np.mean(found <= len(found)))
    return Found(
        map=float(np.mean(averages)),
        precision=hits.cumsum() / (np.arange(1, n_gallery + 1) * len(averages)),
        recall=recalled.cumsum() / len(averages),
        r_precision=float(np.mean(among_relevant)),
    )


def retrieve(
    queries: Float[np.ndarray, "n d"],
    gallery: Float[np.ndarray, "n d"],
    *,
    labels: Integer[np.ndarray, "n"],
    split: tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]],
) -> tuple[dict[str, int | float], list[tuple[int, float, float]]]:
    """What a report says of images split[0] of `queries` asking split[1] of `gallery`.

    Mean average precision (`map`), R-precision (`r_precision`), area under the curve, precision
    at 10 and the counts; then (k, precision, recall) for each k of `k_grid`.
    """
    asked, stored = split
    if len(stored) < 10:
        raise ValueError(
            f"a gallery of {len(stored)} images has no precision at 10; take more images or a "
            "smaller share of queries"
        )
    ranks = rank_matches(queries, gallery, labels=labels, split=split)
    found = score_ranks(ranks, n_gallery=len(stored))
    scores = {
        "map": found.map,
        "r_precision": found.r_precision,
        "pr_area": pr_area(found.precision, found.recall),
        "precision_at_10": float(found.precision[9]),
        "n_queries": len(asked),
        "n_gallery": len(stored),
    }
    k = k_grid(len(stored))
    precision, recall = found.precision[k - 1].round(6), found.recall[k - 1].round(6)
    return scores, list(zip(k.tolist(), precision.tolist(), recall.tolist()))


def retrieve_corrupted(
    parts: Iterable[tuple[str, int, Float[np.ndarray, "n d"]]],
    clean: Float[np.ndarray, "n d"],
    *,
    labels: Integer[np.ndarray, "n"],
    split: tuple[Int[np.ndarray, "q"], Int[np.ndarray, "g"]],
    queries_alone: bool,
) -> tuple[dict[str, Any], list[tuple[str, int, int, float, float]]]:
    """`retrieve` for each (corruption, severity, features), in a gallery of the same or, with
    `queries_alone`, in the `clean` one.

    Returns mean average precision: by corruption that of each severity, by its number as text, and
    their `mean`, and as `map` the mean of these. Then (corruption, severity, k, precision, recall).
    """
    by_corruption: dict[str, dict[str, Any]] = {}
    rows = []
    for corruption, severity, x in parts:
        gallery = clean if queries_alone else x
        found, curve = retrieve(x, gallery, labels=labels, split=split)
        by_corruption.setdefault(corruption, {})[str(severity)] = found["map"]
        rows += [(corruption, severity, *point) for point in curve]
    scores: dict[str, Any] = {
        corruption: {"mean": float(np.mean([*each.values()])), **each}
        for corruption, each in by_corruption.items()
    }
    return {**scores, "map": float(np.mean([each["mean"] for each in scores.values()]))}, rows


def k_grid(n_gallery: int) -> Int[np.ndarray, "_"]:
    """The values of k to report: K_GRID as far as it goes, then the whole gallery."""
    return np.array([*(k for k in K_GRID if k < n_gallery), n_gallery])


def pr_area(precision: Float[np.ndarray, "g"], recall: Float[np.ndarray, "g"]) -> float:
    """Area under the mean curve over every k, its first precision held down to recall 0."""
    return float(np.trapezoid(np.r_[precision[0], precision], np.r_[0.0, recall]))


def _normalise(features: np.ndarray, rows: np.ndarray, name: str, *, out: np.ndarray) -> None:
    for start in range(0, len(rows), PIECE):
        some, chosen = rows[start : start + PIECE], out[start : start + PIECE]
        chosen[:] = features[some]
        scale_rows(chosen)
        norms = np.linalg.norm(chosen, axis=1, keepdims=True)
        bad = ~(np.isfinite(norms) & (norms > 0))[:, 0]
        if bad.any():
            raise ValueError(
                f"{name}: features of image {some[bad.argmax()]} are all 0 or not finite, so they "
                "have no cosine similarity"
            )
        chosen /= norms
