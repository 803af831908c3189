"""Scores of a predicted map of salient objects against their mask.

A prediction is in [0, 1] and is taken as it is: nothing stretches it. The four scores are those of
the field's usual evaluation (lartpang/PySODMetrics, with `normalize=False`).
"""

import numpy as np
from jaxtyping import Bool, Float

BETA_SQUARED = 0.3  # Achanta et al., CVPR 2009: precision counts more than recall
LEVELS = 256  # of grey, each a threshold
EPS = float(np.spacing(1))


def mae(prediction: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "a b"]) -> float:
    """Mean absolute error over pixels."""
    _require_fit(prediction, mask)
    return float(np.abs(prediction - mask).mean())


def f_adaptive(prediction: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "a b"]) -> float:
    """F-measure (β² = 0.3) of what is at twice the prediction's mean or above (at most 1)."""
    _require_fit(prediction, mask)
    found = prediction >= _adaptive(prediction)
    both, all_found = (np.array([each.sum()]) for each in (found & mask, found))
    return float(_f_measure(both, all_found, wanted=int(mask.sum()))[0])


def f_curve(
    prediction: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "a b"]
) -> Float[np.ndarray, "256"]:
    """F-measure (β² = 0.3) at each level of grey from 255 down to 0.

    The maximal F-measure of a set is the maximum of its images' mean curve.
    """
    _require_fit(prediction, mask)
    inside, outside = _counts_from_above(prediction, mask)
    return _f_measure(inside, inside + outside, wanted=int(mask.sum()))


def e_adaptive(prediction: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "a b"]) -> float:
    """E-measure (Fan et al., IJCAI 2018) of what is at twice the prediction's mean or above.

    How far two binary maps agree in the pixels and in their means: with both maps less their means,
    the mean of (1 + 2ab / (a² + b²))² / 4. As in the authors' code the sum is over n - 1.
    """
    _require_fit(prediction, mask)
    found = prediction >= _adaptive(prediction)
    a, b = found - found.mean(), mask - mask.mean()
    enhanced = (1 + 2 * a * b / (a**2 + b**2 + EPS)) ** 2 / 4
    return float(enhanced.sum() / (mask.size - 1 + EPS))


def s_measure(
    prediction: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "a b"], *, alpha: float = 0.5
) -> float:
    """S-measure (Fan et al., ICCV 2017): `alpha` of the object's likeness, the rest the regions'.

    The regions are the four around the mask's centre, each by its structural similarity.
    """
    _require_fit(prediction, mask)
    share = mask.mean()
    objects = share * _object(prediction[mask]) + (1 - share) * _object(1 - prediction[~mask])
    row, col = (int(each) + 1 for each in np.argwhere(mask).mean(axis=0).round())
    regions = 0.0
    for rows in (slice(0, row), slice(row, None)):
        for cols in (slice(0, col), slice(col, None)):
            part = mask[rows, cols]
            if part.size:
                regions += part.size / mask.size * _similarity(prediction[rows, cols], part)
    return max(0.0, float(alpha * objects + (1 - alpha) * regions))


def _adaptive(prediction: Float[np.ndarray, "h w"]) -> float:
    return min(2 * float(prediction.mean()), 1.0)


def _counts_from_above(
    prediction: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels inside and outside of the mask at each level or above it, from the highest down."""
    levels = (prediction * (LEVELS - 1)).astype(np.uint8)
    inside, outside = (np.bincount(levels[each], minlength=LEVELS) for each in (mask, ~mask))
    return np.cumsum(inside[::-1]), np.cumsum(outside[::-1])


def _f_measure(both: np.ndarray, found: np.ndarray, *, wanted: int) -> np.ndarray:
    precision, recall = both / np.maximum(found, 1), both / wanted
    below = BETA_SQUARED * precision + recall
    return (1 + BETA_SQUARED) * precision * recall / np.where(below > 0, below, 1)


def _object(values: Float[np.ndarray, "n"]) -> float:
    mean = values.mean()
    deviation = values.std(ddof=1) if len(values) > 1 else 0.0
    return float(2 * mean / (mean**2 + 1 + deviation + EPS))


def _similarity(prediction: Float[np.ndarray, "a b"], mask: Bool[np.ndarray, "a b"]) -> float:
    x, y, less = prediction.mean(), mask.mean(), mask.size - 1 + EPS
    dx, dy = prediction - x, mask - y
    above = 4 * x * y * (dx * dy).sum() / less
    below = (x**2 + y**2) * ((dx**2).sum() + (dy**2).sum()) / less
    if above != 0:
        return float(above / (below + EPS))
    return float(below == 0)


def _require_fit(prediction: np.ndarray, mask: np.ndarray) -> None:
    """Raises ValueError unless there is a prediction in [0, 1] of the size of a mask that is one.

    A mask is neither empty nor full: of such a one there is no object to find.
    """
    if prediction.shape != mask.shape:
        raise ValueError(f"a prediction of {prediction.shape} and a mask of {mask.shape}")
    if not (prediction.min() >= 0 and prediction.max() <= 1):
        raise ValueError(
            f"a prediction from {prediction.min()} to {prediction.max()}; expected [0, 1]"
        )
    if mask.all() or not mask.any():
        raise ValueError(
            f"a mask that is {'all' if mask.all() else 'no'} object; leave the image out"
        )
