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
    everywhere = sum(_counts(each, humans[0].shape) for each in points)
    rows = []
    for map, human, fixations in zip(predictions, humans, points):
        elsewhere = everywhere - _counts(fixations, human.shape)
        rows.append({
            "cc": saliency.cc(map, human),
            "nss": saliency.nss(map, fixations),
            "kl": saliency.kl(map, human),
            "sim": saliency.sim(map, human),
            "auc": saliency.auc_judd(map, fixations),
            "sauc": saliency.sauc(map, fixations, negatives=elsewhere),
        })
    return rows


def mean_scores(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over images of each score."""
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


def _counts(
    points: Int[np.ndarray, "p 2"], shape: tuple[int, ...]
) -> Int[np.ndarray, "h w"]:
    flat = np.ravel_multi_index(tuple(points.T), shape)
    return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
