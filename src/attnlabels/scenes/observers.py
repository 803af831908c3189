"""Simulated human attention: where observers of a synthetic scene look, by mouse or by eye.

The model, for an image with visible object mask M (h x w, each map made to sum to 1):

    p  =  a O + b C + g G + (1 - a - b - g) / (h w)
    O  =  M blurred by a Gaussian                   objects draw attention
    C  =  local standard deviation of luminance     so does contrast, on objects or not
    G  =  a Gaussian at the image's centre          and the centre of any picture
    p_k ~ p exp(s Z_k)                              observer k has interests of their own

with Z_k a smooth field of standard normal values. An eye's fixations are independent draws from
p_k with Gaussian measurement error. A mouse starts at the centre, moves from draw to draw and is
sampled at equal times, so that its trail also covers the way between them.
Points are (row, col), whole, counted from 1, as in SALICON's annotations.
"""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8
from pydantic import Field

OBJECT_BLUR = 0.06  # sd, in shorter sides
CONTRAST_WINDOW = 0.08  # sd, in shorter sides
INTEREST_CELLS = (4, 5)  # the field Z_k is interpolated from normal values on so many cells
DWELL = 0.5  # share of a leg that the mouse rests at its end
TREMOR_PX = 0.5  # sd of the resting hand
COUNT_SD = 0.2  # spread of the number of fixations, in its means
FIXATION_MS = (190.0, 0.5)  # log-normal: median, sd of the logarithm; mean 215 as in OSIE

Number = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """The weights a, b, g above, and the width of G."""

    object_weight: Share
    contrast_weight: Share
    centre_weight: Share
    centre_sigma: Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True)
class Mouse:
    """The observers of an image whose attention is recorded by mouse; see `mouse_samples`."""

    attention: Mixture
    n_observers: Number
    n_targets: Number
    n_samples: Number
    interest_sd: Amount


@dataclass(frozen=True, kw_only=True)
class Eye:
    """The observers of an image whose eyes are tracked; see `eye_fixations`."""

    attention: Mixture
    n_observers: Number
    n_fixations: Annotated[float, Field(ge=2)]
    interest_sd: Amount
    error_px: Amount


def attention_map(
    image: UInt8[np.ndarray, "h w 3"],
    mask: Float[np.ndarray, "h w"],
    *,
    object_weight: float,
    contrast_weight: float,
    centre_weight: float,
    centre_sigma: float,
) -> Float[np.ndarray, "h w"]:
    """p above: the chance that an average observer looks at a pixel; `centre_sigma` in sides."""
    rest = 1 - object_weight - contrast_weight - centre_weight
    if min(object_weight, contrast_weight, centre_weight) < 0 or rest < -1e-9:
        raise ValueError(
            f"weights of attention: object {object_weight}, contrast {contrast_weight}, centre "
            f"{centre_weight}; expected none below 0 and a sum of at most 1"
        )
    if not mask.any():
        raise ValueError("the mask of objects is empty: nothing of an object is visible")
    side = min(mask.shape)
    objects = _blur(mask.astype(np.float64), OBJECT_BLUR * side)
    luminance = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    mean = _blur(luminance, CONTRAST_WINDOW * side)
    variance = _blur(luminance**2, CONTRAST_WINDOW * side) - mean**2
    contrast = np.sqrt(variance.clip(0)) + 1e-6  # a flat image has none anywhere
    centre = centre_gaussian(*mask.shape, sigma=centre_sigma)
    return (
        object_weight * objects / objects.sum()
        + contrast_weight * contrast / contrast.sum()
        + centre_weight * centre
        + max(rest, 0) / mask.size
    )


def centre_gaussian(height: int, width: int, *, sigma: float) -> Float[np.ndarray, "h w"]:
    """A Gaussian at the centre that sums to 1; `sigma` is a share of each side."""
    row = (np.arange(height) + 0.5) / height - 0.5
    col = (np.arange(width) + 0.5) / width - 0.5
    bump = np.exp(-(row[:, None] ** 2 + col[None] ** 2) / (2 * sigma**2))
    return bump / bump.sum()


def eye_fixations(
    rng: np.random.Generator,
    attention: Float[np.ndarray, "h w"],
    *,
    n_observers: int,
    n_fixations: float,
    interest_sd: float,
    error_px: float,
) -> list[Int[np.ndarray, "n 2"]]:
    """Each observer's fixations, about `n_fixations` of them."""
    counts = rng.normal(n_fixations, COUNT_SD * n_fixations, n_observers)
    trails = []
    for count, interest in zip(counts, interests(rng, attention, n=n_observers, sd=interest_sd)):
        looked = draws(rng, interest, n=max(2, round(count)))
        looked += rng.normal(0, error_px, looked.shape)
        trails.append(_counted_from_1(looked, attention.shape))
    return trails


def fixation_durations(rng: np.random.Generator, n: int) -> list[int]:
    """Milliseconds, log-normal, independent of place."""
    median, sd = FIXATION_MS
    return [max(20, round(each)) for each in median * np.exp(rng.normal(0, sd, n))]


def mouse_samples(
    rng: np.random.Generator,
    attention: Float[np.ndarray, "h w"],
    *,
    n_observers: int,
    n_targets: int,
    n_samples: int,
    interest_sd: float,
) -> list[Int[np.ndarray, "n 2"]]:
    """Each observer's trail: `n_samples` samples, less those equal to the one before."""
    time = np.linspace(0, n_targets, n_samples, endpoint=False)
    leg = time.astype(int)
    moved = ((time - leg) / (1 - DWELL)).clip(0, 1)
    moved = (moved**2 * (3 - 2 * moved))[:, None]  # from rest to rest
    trails = []
    for interest in interests(rng, attention, n=n_observers, sd=interest_sd):
        start = np.array([attention.shape]) / 2
        stops = np.concatenate([start, draws(rng, interest, n=n_targets)])
        trail = (1 - moved) * stops[leg] + moved * stops[leg + 1]
        trail += rng.normal(0, TREMOR_PX, trail.shape)
        points = _counted_from_1(trail, attention.shape)
        changed = np.any(points[1:] != points[:-1], axis=1)
        trails.append(points[np.concatenate([[True], changed])])
    return trails


def interests(
    rng: np.random.Generator,
    attention: Float[np.ndarray, "h w"],
    *,
    n: int,
    sd: float,
) -> Float[np.ndarray, "n h w"]:
    """p_k of `n` observers, each a map that sums to 1."""
    height, width = attention.shape
    fields = rng.normal(0, sd, (n, *INTEREST_CELLS))
    smooth = [cv2.resize(each, (width, height), interpolation=cv2.INTER_CUBIC) for each in fields]
    maps = attention * np.exp(np.stack(smooth))
    return maps / maps.sum(axis=(1, 2), keepdims=True)


def draws(
    rng: np.random.Generator,
    chance: Float[np.ndarray, "h w"],
    *,
    n: int,
) -> Float[np.ndarray, "n 2"]:
    """Places (row, col) in pixels from the corner, uniform inside the pixel drawn."""
    steps = np.cumsum(chance)
    cells = np.searchsorted(steps, rng.uniform(0, steps[-1], n), side="right")
    cells = cells.clip(max=chance.size - 1)
    return np.stack(np.divmod(cells, chance.shape[1]), axis=1) + rng.uniform(0, 1, (n, 2))


def _counted_from_1(
    places: Float[np.ndarray, "n 2"],
    shape: tuple[int, ...],
) -> Int[np.ndarray, "n 2"]:
    return np.floor(places).astype(np.int64).clip(0, np.array(shape) - 1) + 1


def _blur(field: Float[np.ndarray, "h w"], sigma_px: float) -> Float[np.ndarray, "h w"]:
    return cv2.GaussianBlur(field, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT)
