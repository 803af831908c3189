"""Tests by permutation, of whatever mean two kinds of networks or people differ by.

Where no permutation is as extreme, p is not 0: the data themselves are one of those that could
have been, so p = (k + 1) / (n + 1) of n random ones (Phipson & Smyth 2010).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Real

DRAWN_AT_ONCE = 1 << 22  # values; the memory that it takes
# Sums of the same numbers in another order differ by rounding; what is as extreme counts.
ROUNDING = 1e-12


class PermutationTest(NamedTuple):
    """A difference, and the two-sided p-value of one as large by chance."""

    n: int  # values, or values of both groups
    difference: float
    p: float


def sign_flips(
    differences: Real[np.ndarray, "n"],
    *,
    blocks: Int[np.ndarray, "n"] | None = None,
    permutations: int = 10_000,
    seed: int = 0,
) -> PermutationTest:
    """Of paired differences whose sign is anybody's guess if there is no effect; of their mean.

    `blocks` numbers what flips together, such as the images of one seed. Raises ValueError
    without values, or if one is not finite.
    """
    _require_finite(differences)
    of = (
        np.arange(len(differences)) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    )
    sums = np.bincount(of, weights=differences)  # of a block
    rng = np.random.default_rng(seed)

    def draw(count: int) -> Float[np.ndarray, "count"]:
        signs = rng.integers(0, 2, (count, len(sums)), np.int8) * np.int8(2) - 1
        return signs @ sums

    found = float(sums.sum())
    p = _share_as_extreme(draw, abs(found), permutations, size=len(sums), scale=np.abs(sums).sum())
    return PermutationTest(len(differences), found / len(differences), p)


def label_permutations(
    a: Real[np.ndarray, "a"],
    b: Real[np.ndarray, "b"],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> PermutationTest:
    """Of two groups whose labels mean nothing if there is no effect; of their means, a minus b.

    Raises ValueError without values in one, or if one is not finite.
    """
    _require_finite(a)
    _require_finite(b)
    values, rng = np.concatenate([a, b]).astype(np.float64), np.random.default_rng(seed)
    total = values.sum()

    def draw(count: int) -> Float[np.ndarray, "count"]:
        shuffled = rng.permuted(np.broadcast_to(values, (count, len(values))), axis=1)
        sums = shuffled[:, : len(a)].sum(axis=1)
        return sums / len(a) - (total - sums) / len(b)

    found = float(np.mean(a) - np.mean(b))
    p = _share_as_extreme(
        draw, abs(found), permutations, size=len(values), scale=np.abs(values).max()
    )
    return PermutationTest(len(values), found, p)


def _share_as_extreme(
    draw: Callable[[int], Float[np.ndarray, "_"]],
    found: float,
    permutations: int,
    *,
    size: int,
    scale: float,
) -> float:
    if permutations < 1:
        raise ValueError(f"{permutations} permutations; expected at least 1")
    least, extreme = found - ROUNDING * scale, 0
    at_once = max(1, DRAWN_AT_ONCE // size)
    for first in range(0, permutations, at_once):
        drawn = draw(min(at_once, permutations - first))
        extreme += int((np.abs(drawn) >= least).sum())
    return (extreme + 1) / (permutations + 1)


def _require_finite(values: Real[np.ndarray, "n"]) -> None:
    if not len(values) or not np.isfinite(values).all():
        raise ValueError(f"{len(values)} values, not all of them finite; expected some that are")
