"""Train a linear classifier on frozen features and score it on the test images.

    python src/probe_linear.py RUN SEED FEATURES CLASSIFIER REPORT

Multinomial logistic regression on cached features of the centre view, the offline evaluation of
alinlab/object-aware-contrastive (inference.py), for both sets, ImageNet and CIFAR-10. The strength
of the L2 penalty is chosen on a development part of the *training* images, drawn by SEED, and the
classifier is then fitted again to all of them; the test images are scored once, at the end.
CLASSIFIER (npz) holds `<set>_weight` [k, d] and `<set>_bias` [k], to be used on raw features.

Cost: 3,000 images of 256 features take a second. ImageNet (1.28 million images of 2,048 features,
1,000 classes) takes 32 GB of memory and 10 Tflop a pass, of which a penalty needs 20 to 100.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
from jaxtyping import Float32, Float64, Int64
from pydantic import Field
from scipy.optimize import minimize

from attnlabels.datasets.features import read_features
from attnlabels.params import load, record
from attnlabels.report import replacing, write_json
from attnlabels.script import run

SETS = {  # train, test
    "imagenet": ("imagenet_train", "imagenet_val"),
    "cifar10": ("cifar10_train", "cifar10_test"),
}
BLOCK = 8192  # rows in float64 at a time, which bounds the memory and changes no result


@record
class ProbeLinear:
    l2: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    development: Annotated[float, Field(gt=0, lt=1)]
    tolerance: Annotated[float, Field(gt=0)]
    maximum_iterations: Annotated[int, Field(gt=0)]


def main(name: str, seed: int, features: Path, classifier: Path, report: Path) -> None:
    p = load(ProbeLinear, "probe_linear")
    converge = partial(fit, tolerance=p.tolerance, maximum_iterations=p.maximum_iterations)
    weights, scores = {}, {}
    for key, (train, test) in SETS.items():
        x, y = read_features(features / train)
        n_classes = int(y.max()) + 1
        mean, scale = moments(x)
        x = standardise(x, mean, scale=scale)
        held_out, rest = split(len(x), p.development, seed=seed)
        x_rest, y_rest = x[rest], y[rest]
        tried = {}
        for l2 in p.l2:
            theta = converge(x_rest, y_rest, n_classes=n_classes, l2=l2)
            tried[l2] = accuracy(logits(x[held_out], theta), y[held_out], k=1)
        l2 = max(tried, key=lambda each: (tried[each], each))  # a tie goes to the stronger penalty
        theta = converge(x, y, n_classes=n_classes, l2=l2)

        weights[f"{key}_weight"] = theta[:, :-1] / scale
        weights[f"{key}_bias"] = theta[:, -1] - weights[f"{key}_weight"] @ mean
        x_test, y_test = read_features(features / test)
        z = logits(standardise(x_test, mean, scale=scale), theta)
        scores[key] = {"l2": l2, "development_top1": tried[l2], "n": len(y_test)}
        scores[key] |= {f"top{k}": accuracy(z, y_test, k=k) for k in (1, 5) if k < n_classes}

    with replacing(classifier) as aside, aside.open("wb") as file:
        np.savez(file, **weights)
    write_json(report, scores)
    print(f"{name}, seed {seed}:", *(f"{key} {scores[key]['top1']:.4f}" for key in SETS))


def moments(
    x: Float32[np.ndarray, "n d"],
) -> tuple[Float64[np.ndarray, "d"], Float64[np.ndarray, "d"]]:
    """Mean and deviation of each feature; 1 for a constant one, which is 0 once centred."""
    scale = x.std(axis=0, dtype=np.float64)
    return x.mean(axis=0, dtype=np.float64), np.where(scale > 0, scale, 1.0)


def split(n: int, fraction: float, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the development part and the remaining rows, both in ascending order."""
    n_development = round(n * fraction)
    if not 0 < n_development < n:
        raise ValueError(
            f"probe_linear.development = {fraction} leaves {n_development} of {n} training images "
            "to choose the penalty on; both parts need at least one"
        )
    order = np.random.default_rng(seed).permutation(n)
    return np.sort(order[:n_development]), np.sort(order[n_development:])


def standardise(
    x: Float32[np.ndarray, "n d"],
    mean: Float64[np.ndarray, "d"],
    *,
    scale: Float64[np.ndarray, "d"],
) -> Float32[np.ndarray, "n d"]:
    return (x - mean.astype(np.float32)) / scale.astype(np.float32)


def fit(
    x: Float32[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    *,
    n_classes: int,
    l2: float,
    tolerance: float,
    maximum_iterations: int,
) -> Float64[np.ndarray, "k d+1"]:
    """Weights, and biases in the last column, of least mean cross-entropy + l2/2 · ‖weights‖²."""
    shape = (n_classes, x.shape[1] + 1)
    result = minimize(
        lambda theta: objective(theta.reshape(shape), x, y, l2=l2),
        np.zeros(shape).ravel(),
        jac=True,
        method="L-BFGS-B",
        # ftol 0: stop by the gradient alone, or a weak penalty would end early
        options={"gtol": tolerance, "ftol": 0, "maxiter": maximum_iterations, "maxfun": np.inf},
    )
    if abs(result.jac).max() > tolerance:
        raise ValueError(
            f"the probe with l2 = {l2} stopped after {result.nit} iterations at a gradient of "
            f"{abs(result.jac).max():.2g} ({result.message}); raise "
            "probe_linear.maximum_iterations or probe_linear.tolerance, or drop this l2"
        )
    return result.x.reshape(shape)


def objective(
    theta: Float64[np.ndarray, "k d+1"],
    x: Float32[np.ndarray, "n d"],
    y: Int64[np.ndarray, "n"],
    *,
    l2: float,
) -> tuple[float, Float64[np.ndarray, "k*(d+1)"]]:
    """The penalised mean cross-entropy and its gradient; the biases are not penalised."""
    weight = theta[:, :-1]
    loss = 0.5 * l2 * (weight**2).sum()
    gradient = np.zeros_like(theta)
    gradient[:, :-1] = l2 * weight
    for first in range(0, len(x), BLOCK):
        x_block = x[first:first + BLOCK].astype(np.float64)
        y_block = y[first:first + BLOCK]
        rows = np.arange(len(x_block))
        log_p = x_block @ weight.T + theta[:, -1]
        log_p -= log_p.max(axis=1, keepdims=True)  # so that exp cannot overflow
        log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        residual = np.exp(log_p)
        residual[rows, y_block] -= 1
        loss -= log_p[rows, y_block].sum() / len(x)
        gradient[:, :-1] += residual.T @ x_block / len(x)
        gradient[:, -1] += residual.sum(axis=0) / len(x)
    return loss, gradient.ravel()


def logits(
    x: Float32[np.ndarray, "n d"], theta: Float64[np.ndarray, "k d+1"]
) -> Float64[np.ndarray, "n k"]:
    return x @ theta[:, :-1].T + theta[:, -1]


def accuracy(z: Float64[np.ndarray, "n k"], y: Int64[np.ndarray, "n"], *, k: int) -> float:
    """Share of images whose class is among the `k` largest logits; equal ones count in order."""
    if y.max() >= z.shape[1]:
        raise ValueError(
            f"an image to score is of class {y.max()}, but the training images end at class "
            f"{z.shape[1] - 1}; number both alike in extract_features"
        )
    largest = np.argsort(-z, axis=1, kind="stable")[:, :k]
    return float((largest == y[:, None]).any(axis=1).mean())


if __name__ == "__main__":
    run(main)
