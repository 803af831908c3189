"""Time the fit of the linear probe against scikit-learn's, by the limit below.

    python benchmarks/probe.py

50,000 made features of 512 numbers in half precision, as they are kept, in 10 and in 100 classes.
Both begin with those and end at the same minimum, of one penalty and within one tolerance: ours,
and scikit-learn's StandardScaler and LogisticRegression (L-BFGS) in double precision, on one thread
and in turns. In single precision scikit-learn takes less; that is shown without a limit.

Then a set of 1,200 images and 192 features, as the study of methods has them, with BLAS on two
threads, of its time on one: threads of NumPy's and of SciPy's may not wait for each other. Leaves
with status 1 if the two objectives differ, or if a limit is missed. A minute on two cores.
"""

from functools import partial
from typing import Any

import numpy as np
from ratios import Bound, in_turns, ratios, report
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from attnlabels.metrics.linear_probe import Part, fit, moments, objective

IMAGES, DIMENSIONS = 50_000, 512
CLASSES = (10, 100)
L2, TOLERANCE, MAXIMUM_ITERATIONS = 1e-3, 1e-4, 1000  # as in params.yaml, a weak penalty
MOST_COST = 1.15
SAME = 1e-6  # relative difference of two objectives; the tolerance leaves less open
ROUNDS = 3
FEW = (1_200, 192, 10)
MOST_OF_ONE_THREAD = 1.5


def main() -> None:
    threadpool_limits(1)
    seconds: dict[str, list[float]] = {}
    bounds = []
    for n_classes in CLASSES:
        of_classes, cost = measure(IMAGES, DIMENSIONS, n_classes, rounds=ROUNDS)
        seconds |= of_classes
        name = f"time over scikit-learn's, {n_classes} classes"
        bounds.append(Bound(name, cost, MOST_COST, False, ""))
    of_few, cost = measure_threads(*FEW)
    bounds.append(Bound("few images, two threads over one", cost, MOST_OF_ONE_THREAD, False, ""))
    report(seconds | of_few, bounds)


def measure_threads(n: int, d: int, n_classes: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of a fit with BLAS on one thread and on two, and the latter over the former."""
    few = standardised(*clouds(n, d, n_classes))
    start = np.zeros((n_classes, d + 1))

    def on(threads: int) -> None:
        with threadpool_limits(threads):
            fit(few, start, l2=1e-5, tolerance=TOLERANCE, maximum_iterations=MAXIMUM_ITERATIONS)

    what = f"{n:,} × {d}, {n_classes} classes"
    seconds = in_turns(
        {f"ours, {what}, {k} threads": partial(on, k) for k in (1, 2)}, rounds=ROUNDS
    )
    one, two = seconds.values()
    return seconds, ratios(two, one)


def measure(
    n: int, d: int, n_classes: int, *, rounds: int
) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds of ours and of scikit-learn's, and ours over its in double precision."""
    x, y = clouds(n, d, n_classes)
    found: dict[str, np.ndarray] = {}

    def ours() -> None:
        part = standardised(x, y)
        found["ours"] = fit(
            part,
            np.zeros((n_classes, d + 1)),
            l2=L2,
            tolerance=TOLERANCE,
            maximum_iterations=MAXIMUM_ITERATIONS,
        )

    def theirs(precision: Any) -> None:
        z = StandardScaler().fit_transform(x.astype(precision))
        # scikit-learn minimises ½‖w‖² + C · Σ loss
        fitted = LogisticRegression(C=1 / (n * L2), tol=TOLERANCE, max_iter=MAXIMUM_ITERATIONS)
        fitted.fit(z, y)
        found["scikit-learn's"] = np.column_stack([fitted.coef_, fitted.intercept_])

    what = f"{n:,} × {d}, {n_classes} classes"
    seconds = in_turns(
        {
            f"ours, {what}": ours,
            f"scikit-learn's in single precision, {what}": lambda: theirs(np.float32),
            f"scikit-learn's, {what}": lambda: theirs(np.float64),
        },
        rounds=rounds,
    )
    require_same(found, standardised(x, y))
    mine, _, double = seconds.values()
    return seconds, ratios(mine, double)


def standardised(x: np.ndarray, y: np.ndarray) -> Part:
    return Part(x, y, *moments(x), np.arange(len(x)))


def require_same(found: dict[str, np.ndarray], part: Part) -> None:
    loss = {who: objective(theta, part, l2=L2)[0] for who, theta in found.items()}
    if np.ptp([*loss.values()]) > SAME * min(loss.values()):
        raise SystemExit(f"the fits end at different objectives: {loss}")


def clouds(n: int, d: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Features >= 0 of unlike scale, correlated, in overlapping classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    centres = 0.25 * rng.normal(size=(n_classes, d))
    mixing = rng.normal(size=(d, d)) / np.sqrt(d) * np.geomspace(2, 0.1, d)
    x = (centres[y] + rng.normal(size=(n, d))) @ mixing
    return np.maximum(x, 0).astype(np.float16), y


if __name__ == "__main__":
    main()
