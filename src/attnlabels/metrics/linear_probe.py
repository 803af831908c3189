"""Multinomial logistic regression on frozen features: the linear probe (paper §4.3).

The offline evaluation of alinlab/object-aware-contrastive (inference.py): L-BFGS on cached features
of the centre view. The strength of the L2 penalty is chosen on a development part of the *training*
images, and the classifier is then fitted again to all of them. What is tried follows the number of
images and goes on where the best is at an end: with 3,000 images the best is 0.003 to 0.03, with
6,400 of another set it is below 3e-5.

Cost: 3,000 images of 256 features take a second. ImageNet (1.28 million images of 2,048 features,
1,000 classes) takes 10 Tflop a pass, of which a penalty needs 20 to 100. The features stay in
their file of 5 GB, which the system's cache should hold; beside it the memory hardly grows. Fewer
are kept in double precision while they are fitted: 50,000 of 512 features take 200 MB more.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.optimize import minimize
from threadpoolctl import ThreadpoolController

from attnlabels.metrics.search import CannotTry, Number, search

BLOCK = 2048  # rows in float64 at a time, which bounds the memory and changes no result
KEPT = 2**25  # numbers, 270 MB: a part no larger stays in float64, converted once for all passes
LEAST_L2, MOST_L2 = 1e-8, 1e4  # of the search: nearly none, and hardly a weight left
SCIPYS = {"scipy", "scipy.libs"}  # folders of what its wheels bring
Block: TypeAlias = tuple[Float64[np.ndarray, "b d"], Int64[np.ndarray, "b"]]


class Probe(NamedTuple):
    """A fitted classifier of standardised features, and what it was chosen by."""

    theta: Float64[np.ndarray, "k w"]  # d weights, and the bias in the last column
    mean: Float64[np.ndarray, "d"]
    scale: Float64[np.ndarray, "d"]
    l2: float
    development_top1: float
    why_ended: str | None  # of the search for l2, where the best may lie beyond what was tried

    @property
    def warning(self) -> str | None:
        """What to tell of the choice of l2, if anything."""
        if self.why_ended is None:
            return None
        return (
            f"the best l2, {self.l2:.2g}, is the last that was tried, and a better one may lie "
            f"beyond: {self.why_ended}"
        )

    @property
    def weight(self) -> Float64[np.ndarray, "k d"]:
        """Of the features as they are."""
        return self.theta[:, :-1] / self.scale

    @property
    def bias(self) -> Float64[np.ndarray, "k"]:
        """Of the features as they are."""
        return self.theta[:, -1] - self.weight @ self.mean

    def score(
        self, x: Float[np.ndarray, "n d"], y: Int64[np.ndarray, "n"]
    ) -> dict[str, int | float]:
        """What a report says of the test images: l2, l2_at_end (1: see `warning`),
        development_top1, n, top1 and, of more than five classes, top5."""
        tested = Part(x, y, self.mean, self.scale, np.arange(len(x)))
        top = {f"top{k}": accuracy(tested, self.theta, k=k) for k in (1, 5) if k < len(self.theta)}
        chosen = {"l2": self.l2, "l2_at_end": int(self.why_ended is not None)}
        return {**chosen, "development_top1": self.development_top1, "n": len(y), **top}


def choose_probe(
    x: Float[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    *,
    l2_times_n: Sequence[float],
    development: float,
    tolerance: float,
    maximum_iterations: int,
    seed: int,
) -> Probe:
    """The probe of the training features `x` with the best of some penalties.

    Those are `l2_times_n` over the number of images, that is, penalties in units of the sum of all
    cross-entropies, from the strongest, and more of their kind past either end that is best.
    `development` is the share of the rows, drawn by `seed`, on which that is decided; a tie goes
    to the penalty tried first. Raises ValueError where the fit of one in the grid does not
    converge; beyond the grid, the search ends there.
    """
    converge = partial(fit, tolerance=tolerance, maximum_iterations=maximum_iterations)
    mean, scale = moments(x)
    held_out, rest = (
        Part(x, y, mean, scale, rows) for rows in split(len(x), development, seed=seed)
    )
    thetas: dict[float, np.ndarray] = {}
    scores: dict[float, float] = {}

    def score(penalties: Sequence[Number]) -> Iterator[tuple[Number, float]]:
        for l2 in penalties:  # each from the minimum of the nearest, which is near
            start = thetas[min(thetas, key=lambda each: abs(np.log(each / l2)))] if thetas else zero
            thetas[l2] = converge(rest, start, l2=l2)
            scores[l2] = accuracy(held_out, thetas[l2], k=1)
            yield l2, scores[l2]

    zero = np.zeros((int(y.max()) + 1, x.shape[1] + 1))
    grid = [each / len(x) for each in sorted(l2_times_n, reverse=True)]
    best = search(grid, score, least=LEAST_L2, most=MOST_L2)
    whole = Part(x, y, mean, scale, np.arange(len(x)))
    why_ended = best.why_ended
    for l2 in sorted(each for each in thetas if each >= best.value):
        try:
            theta = converge(whole, thetas[l2], l2=l2)
        except CannotTry as error:  # of all images, which are more; a stronger penalty is easier
            why_ended, failure = str(error), error
        else:
            return Probe(theta, mean, scale, l2, scores[l2], why_ended)
    raise failure


@dataclass(frozen=True)
class Part:
    """Some rows of a set, standardised: (x - mean) / scale."""

    x: Float[np.ndarray, "n d"]
    y: Int64[np.ndarray, "n"]
    mean: Float64[np.ndarray, "d"]
    scale: Float64[np.ndarray, "d"]
    rows: Int64[np.ndarray, "m"]

    def __len__(self) -> int:
        return len(self.rows)

    def blocks(self) -> Iterator[Block]:
        """Features [b, d] in float64 and classes [b] of all rows, BLOCK at a time."""
        return iter(self._kept if len(self) * self.x.shape[1] <= KEPT else self._converted())

    @cached_property
    def _kept(self) -> list[Block]:
        return list(self._converted())

    def _converted(self) -> Iterator[Block]:
        for first in range(0, len(self), BLOCK):
            rows = self.rows[first : first + BLOCK]
            yield (self.x[rows].astype(np.float64) - self.mean) / self.scale, self.y[rows]


def moments(
    x: Float[np.ndarray, "n d"],
) -> tuple[Float64[np.ndarray, "d"], Float64[np.ndarray, "d"]]:
    """Mean and deviation of each feature; 1 for a constant one, which is 0 once centred."""
    blocks = [x[first : first + BLOCK] for first in range(0, len(x), BLOCK)]  # views
    mean = sum(each.sum(axis=0, dtype=np.float64) for each in blocks) / len(x)
    variance = sum(((each - mean) ** 2).sum(axis=0) for each in blocks) / len(x)
    return mean, np.where(variance > 0, np.sqrt(variance), 1.0)


def split(n: int, fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the development part and the remaining rows, both in ascending order."""
    n_development = round(n * fraction)
    if not 0 < n_development < n:
        raise ValueError(
            f"development = {fraction} leaves {n_development} of {n} training images to choose on; "
            "both parts need at least one"
        )
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[:n_development]), np.sort(order[n_development:])


def fit(
    part: Part,
    start: Float64[np.ndarray, "k w"],
    *,
    l2: float,
    tolerance: float,
    maximum_iterations: int,
) -> Float64[np.ndarray, "k w"]:
    """Weights, and biases in the last column, of least mean cross-entropy + l2/2 · ‖weights‖².

    `start` changes no more than the tolerance leaves open, and the time. Raises CannotTry if the
    largest gradient is not within `tolerance` after `maximum_iterations`.
    """
    with _one_thread_of_scipys():
        result = minimize(
            lambda theta: objective(theta.reshape(start.shape), part, l2=l2),
            start.ravel(),
            jac=True,
            method="L-BFGS-B",
            # ftol 0: stop by the gradient alone, or a weak penalty would end early
            options={"gtol": tolerance, "ftol": 0, "maxiter": maximum_iterations, "maxfun": np.inf},
        )
    if not abs(result.jac).max() <= tolerance:  # nor is a NaN
        raise CannotTry(
            f"the probe with l2 = {l2:.3g} stopped after {result.nit} iterations at a gradient of "
            f"{abs(result.jac).max():.2g} ({result.message}); raise maximum_iterations or the "
            "tolerance, or drop this penalty"
        )
    return result.x.reshape(start.shape)


def _one_thread_of_scipys() -> AbstractContextManager[object]:
    """SciPy's own BLAS on one thread, where it has one.

    NumPy's has its own threads, and those of both spin on the same cores while they have nothing to
    do: a probe of 1,200 images on two cores took ten times as long. SciPy is left the sums of
    L-BFGS.
    """
    pools = ThreadpoolController()
    paths = [
        each.filepath for each in pools.lib_controllers if SCIPYS & {*Path(each.filepath).parts}
    ]
    return pools.select(filepath=paths).limit(limits=1)


def objective(
    theta: Float64[np.ndarray, "k w"], part: Part, *, l2: float
) -> tuple[float, Float64[np.ndarray, "k*w"]]:
    """The penalised mean cross-entropy and its gradient; the biases are not penalised."""
    weight = theta[:, :-1]
    loss = 0.5 * l2 * (weight**2).sum()
    gradient = np.zeros_like(theta)
    gradient[:, :-1] = l2 * weight
    for x, y in part.blocks():
        rows = np.arange(len(x))
        log_p = x @ weight.T + theta[:, -1]
        log_p -= log_p.max(axis=1, keepdims=True)  # so that exp cannot overflow
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        residual = np.exp(log_p)
        residual[rows, y] -= 1
        loss -= log_p[rows, y].sum() / len(part)
        gradient[:, :-1] += residual.T @ x / len(part)
        gradient[:, -1] += residual.sum(axis=0) / len(part)
    return loss, gradient.ravel()


def accuracy(part: Part, theta: Float64[np.ndarray, "k w"], *, k: int) -> float:
    """Share of images whose class is among the `k` largest logits; equal ones count in order."""
    hits = 0
    for x, y in part.blocks():
        hits += int(among_largest(x @ theta[:, :-1].T + theta[:, -1], y, k=k).sum())
    return hits / len(part)


def among_largest(
    z: Float64[np.ndarray, "n k"], y: Int64[np.ndarray, "n"], *, k: int
) -> Bool[np.ndarray, "n"]:
    """Whether each image's class is among the `k` largest logits; equal ones count in order."""
    if y.max() >= z.shape[1]:
        raise ValueError(
            f"an image to score is of class {y.max()}, but the training images end at class "
            f"{z.shape[1] - 1}; number both alike"
        )
    largest = np.argsort(-z, axis=1, kind="stable")[:, :k]
    return (largest == y[:, None]).any(axis=1)


def top1(
    x: Float[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    *,
    weight: Float64[np.ndarray, "k _"],
    bias: Float64[np.ndarray, "k"],
) -> float:
    """Share of images whose largest logit is their class's; `x` as it is, not standardised."""
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"the features have {x.shape[1]} dimensions, the classifier takes {weight.shape[1]}; "
            "train the probe on these features"
        )
    hits = 0
    for first in range(0, len(x), BLOCK):
        z = x[first : first + BLOCK].astype(np.float64) @ weight.T + bias
        hits += int((z.argmax(axis=1) == y[first : first + BLOCK]).sum())
    return hits / len(x)
