"""Saliency scores of one predicted map.

cc, nss, kl and sim are those of matthias-k/pysaliency:pysaliency/metrics.py, `kl` its `MIT_KLDiv`
with the constant of the MIT/Tübingen benchmark. A prediction is compared with a density (cc, kl,
sim) or at points (row, col) on its own pixels (nss, auc_judd, sauc). A constant prediction, which
says nothing, scores as chance does.
"""

import numpy as np
from jaxtyping import Float, Integer

# Keeps empty pixels out of log(0) and x/0. The benchmark's number, MATLAB's eps to five digits:
# where a map is 0 and people looked, it is most of the score.
EPS = 2.2204e-16

# A map whose range is within float32 rounding of its values is constant.
FLAT = 1e-6


def cc(prediction: Float[np.ndarray, "h w"], density: Float[np.ndarray, "h w"]) -> float:
    """Pearson correlation over pixels; 0 if the prediction is constant."""
    if _constant(density):
        raise ValueError("the density is constant, so no map correlates with it; drop the image")
    return float(np.mean(standardised(prediction) * standardised(density)))


def nss(prediction: Float[np.ndarray, "h w"], points: Integer[np.ndarray, "p 2"]) -> float:
    """Mean at the points of the prediction in population standard deviations; 0 if constant."""
    return float(_at(standardised(prediction), points).mean())


def kl(prediction: Float[np.ndarray, "h w"], density: Float[np.ndarray, "h w"]) -> float:
    """KL divergence of the prediction from the density, in nats, weighted by the density.

    The loss that trains a map has a larger EPS, for float32, and so a smaller value of maps with
    zeros.
    """
    p, t = _predicted(prediction), _distribution(density)
    return float(np.sum(t * np.log(EPS + t / (p + EPS))))


def sim(prediction: Float[np.ndarray, "h w"], density: Float[np.ndarray, "h w"]) -> float:
    """Overlap of the two distributions, from 0 to 1."""
    return float(np.minimum(_predicted(prediction), _distribution(density)).sum())


def floor(prediction: Float[np.ndarray, "h w"]) -> float:
    """The least value as a share of the largest, of a map >= 0; 1 if it is constant.

    A high floor is no attention withheld anywhere. cc, nss and the AUCs, which ignore shifts, do
    not see it; kl and sim do, and so do pseudo fixations, which stop at a share of the maximum.
    """
    if _constant(prediction):
        return 1.0
    return float(prediction.min()) / float(prediction.max())


def auc_judd(prediction: Float[np.ndarray, "h w"], points: Integer[np.ndarray, "p 2"]) -> float:
    """Chance that a point's value exceeds that of a pixel without points; ties count half.

    The exact area. MIT's script joins the curve between fixated values and adds jitter.
    """
    positives = _at(prediction, points)
    free = np.ones(prediction.shape, dtype=bool)
    free[points[:, 0], points[:, 1]] = False
    if not free.any():
        raise ValueError(f"all {free.size} pixels hold points, so none is left to compare with")
    return _auc(positives, prediction[free], weights=np.ones(free.sum()))


def sauc(
    prediction: Float[np.ndarray, "h w"],
    points: Integer[np.ndarray, "p 2"],
    *,
    negatives: Integer[np.ndarray, "h w"],
) -> float:
    """Shuffled AUC: `negatives` counts at each pixel the points of other images, all of them.

    The centre of the picture, where people look anyway, earns nothing. It would, were a pixel
    counted once however many look there: many images together leave hardly a pixel without.
    """
    if not negatives.any():
        raise ValueError("no points of other images; sAUC compares two images or more")
    looked = negatives > 0
    return _auc(_at(prediction, points), prediction[looked], weights=negatives[looked])


def _auc(positives: np.ndarray, negatives: np.ndarray, *, weights: np.ndarray) -> float:
    order = np.argsort(negatives)
    ascending, below = negatives[order], np.append(0, np.cumsum(weights[order]))
    less = below[np.searchsorted(ascending, positives, side="left")]
    not_more = below[np.searchsorted(ascending, positives, side="right")]
    return float((less + not_more).mean() / 2 / below[-1])


def _at(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    if not len(points):
        raise ValueError("no points to score at; leave out images without points")
    if (points < 0).any() or (points >= values.shape).any():
        raise ValueError(
            f"points from {points.min(axis=0)} to {points.max(axis=0)} on a map of "
            f"{values.shape}; scale (row, col) to the map's pixels and clip"
        )
    return values[points[:, 0], points[:, 1]]


def _constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= FLAT * np.abs(values).max())


def standardised(values: np.ndarray) -> np.ndarray:
    if _constant(values):
        return np.zeros(values.shape)
    m = values.astype(np.float64)
    return (m - m.mean()) / m.std()


def _predicted(values: np.ndarray) -> np.ndarray:
    # 0 everywhere is constant, and prefers no pixel: the uniform distribution.
    return _distribution(values if values.any() else np.ones(values.shape))


def _distribution(values: np.ndarray) -> np.ndarray:
    m = values.astype(np.float64)
    if m.min() < 0 or m.sum() == 0:
        raise ValueError(
            f"a map with minimum {m.min():g} and sum {m.sum():g} is no distribution; expected "
            "values of 0 or more that are not all 0"
        )
    return m / m.sum()
