"""Agreement of two maps by their ranks, as ClickMe's studies measure it (STUDIES §A.5, §C.4)."""

import numpy as np
from jaxtyping import Float, Real


def rank(values: Real[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Ranks from 1; equal values share the mean of theirs, as maps of 8 bits are full of them."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[which]


def spearman(a: Real[np.ndarray, "_ _"], b: Real[np.ndarray, "_ _"]) -> float:
    """Spearman's correlation of two maps over their pixels, with average ranks; 0 if one is flat.

    Raises ValueError for maps of different shapes or with NaN.
    """
    if a.shape != b.shape:
        raise ValueError(f"maps of {a.shape} and {b.shape}; expected one size")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a map has values that are no numbers")
    found = rank_correlation(a.ravel(), b.ravel())
    return 0.0 if found is None else found


def rank_correlation(a: Real[np.ndarray, "n"], b: Real[np.ndarray, "n"]) -> float | None:
    """Spearman's correlation of pairs, with average ranks; None where one does not vary."""
    one, other = (ranks - ranks.mean() for ranks in (rank(a), rank(b)))
    size = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / size if size > 0 else None
