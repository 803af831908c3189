"""Scores of predicted attention maps against the recordings of a whole set (paper §4.2)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from attnlabels.metrics import saliency

SCORES = ("cc", "nss", "kl", "sim", "auc", "sauc")


def score_maps(
    predictions: Sequence[Float[np.ndarray, "h w"]],
    humans: Sequence[Float[np.ndarray, "h w"]],
    points: Sequence[Int[np.ndarray, "_ 2"]],
) -> list[dict[str, float]]:
    """The six scores of each image, in the order given; all maps share one size.

    `points` are (row, col) on the maps. The negatives of an image's sAUC are all points of all
    other images, so there must be two images or more. Scores at different sizes or blurs are not
    to be compared.
    """
    if not len(predictions) == len(humans) == len(points):
        raise ValueError(
            f"{len(predictions)} predictions, {len(humans)} densities, {len(points)} recordings: "
            "expected one of each for every image"
        )
    sizes = {map.shape for map in (*predictions, *humans)}
    if len(sizes) != 1:
        raise ValueError(f"maps of sizes {sorted(sizes)}; expected one size for all, to compare at")
    everywhere = np.zeros(humans[0].shape, np.int64)
    for each in points:
        everywhere += count(each, humans[0].shape)
    return [
        score_map(map, human, fixations, everywhere=everywhere)
        for map, human, fixations in zip(predictions, humans, points)
    ]


def score_map(
    prediction: Float[np.ndarray, "_ _"],
    human: Float[np.ndarray, "_ _"],
    points: Int[np.ndarray, "p 2"],
    *,
    everywhere: Int[np.ndarray, "h w"],
) -> dict[str, float]:
    """The six scores of one image; `everywhere` is the sum of `count` over all images, it too.

    Raises ValueError if the maps are not of its size, at which all images are compared, and for a
    prediction that is not finite.
    """
    if not prediction.shape == human.shape == everywhere.shape:
        sizes = sorted({prediction.shape, human.shape, everywhere.shape})
        raise ValueError(f"maps of sizes {sizes}; expected one size for all, to compare at")
    if not np.isfinite(prediction).all():
        raise ValueError("a predicted map is not finite; train what predicts it again")
    return {
        "cc": saliency.cc(prediction, human),
        "nss": saliency.nss(prediction, points),
        "kl": saliency.kl(prediction, human),
        "sim": saliency.sim(prediction, human),
        "auc": saliency.auc_judd(prediction, points),
        "sauc": saliency.sauc(
            prediction, points, negatives=everywhere - count(points, human.shape)
        ),
    }


def mean_scores(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over images of each score."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def count(points: Int[np.ndarray, "p 2"], shape: tuple[int, ...]) -> Int[np.ndarray, "h w"]:
    """How many of the points fell on each pixel."""
    flat = np.ravel_multi_index(tuple(points.T), shape)
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
