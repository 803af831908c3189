"""Changes of an image that leave its object alone, or its class: is it attended to as before?

As the arguments of AIB's public code tell of (STUDIES §D.6): a window of one colour or of another
image's texture, and the low or the high frequencies alone. Its score was not released.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, UInt8

Image: TypeAlias = UInt8[np.ndarray, "h w 3"]
Mask: TypeAlias = Bool[np.ndarray, "h w"]
# (image, its object, another image, a generator of its own) -> the changed image
Change: TypeAlias = Callable[[Image, Mask, Image, np.random.Generator], Image]


def changes_of(*, side: float, radii: tuple[float, ...]) -> dict[str, Change]:
    """Changes by name: windows of `side` times the image's, and a low- and a high-pass a radius.

    A radius is in cycles an image side.
    """
    found: dict[str, Change] = {
        "colour": partial(colour_patch, side=side),
        "texture": partial(texture_patch, side=side),
    }
    for radius in radii:
        found[f"low_{radius:g}"] = partial(filtered, radius=radius, low=True)
        found[f"high_{radius:g}"] = partial(filtered, radius=radius, low=False)
    return found


def colour_patch(
    image: Image, mask: Mask, other: Image, rng: np.random.Generator, *, side: float
) -> Image:
    """A window of one colour, drawn evenly, beside the object."""
    row, column, n = place_beside(mask, rng, side=side)
    changed = image.copy()
    changed[row : row + n, column : column + n] = rng.integers(0, 256, 3)
    return changed


def texture_patch(
    image: Image, mask: Mask, other: Image, rng: np.random.Generator, *, side: float
) -> Image:
    """A window out of another image of the same size, beside the object."""
    row, column, n = place_beside(mask, rng, side=side)
    h, w = image.shape[:2]
    top, left = (int(rng.integers(length - n + 1)) for length in (h, w))
    changed = image.copy()
    changed[row : row + n, column : column + n] = other[top : top + n, left : left + n]
    return changed


def filtered(
    image: Image,
    mask: Mask,
    other: Image,
    rng: np.random.Generator,
    *,
    radius: float,
    low: bool,
) -> Image:
    """The frequencies up to a radius of the spectrum, or those above it with the image's mean."""
    h, w = image.shape[:2]
    rows, columns = np.fft.fftfreq(h, 1 / h)[:, None], np.fft.fftfreq(w, 1 / w)
    inside = np.hypot(rows, columns) <= radius
    kept = inside if low else ~inside
    kept[0, 0] = True
    spectrum = np.fft.fft2(image.astype(np.float64), axes=(0, 1)) * kept[..., None]
    back = np.fft.ifft2(spectrum, axes=(0, 1)).real
    return np.rint(back.clip(0, 255)).astype(np.uint8)


def place_beside(mask: Mask, rng: np.random.Generator, *, side: float) -> tuple[int, int, int]:
    """Row, column and side in pixels of a window that covers as little of the object as any does.

    Drawn evenly among these.
    """
    n = max(1, round(side * min(mask.shape)))
    sums = np.pad(mask.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    covered = sums[n:, n:] - sums[:-n, n:] - sums[n:, :-n] + sums[:-n, :-n]
    rows, columns = np.nonzero(covered == covered.min())
    chosen = int(rng.integers(len(rows)))
    return int(rows[chosen]), int(columns[chosen]), n


def alike(one: Float[np.ndarray, "i j"], other: Float[np.ndarray, "i j"]) -> float:
    """Centred correlation of two masks; of flat ones 1 if both are, else 0.

    Not the cosine: masks are positive, so any two have one near 1 (STUDIES §D.6).
    """
    a, b = (each - each.mean(dtype=np.float64) for each in (one, other))
    flat = [float(np.abs(each).max()) < FLAT for each in (a, b)]
    if any(flat):
        return float(all(flat))
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


FLAT = 1e-6  # of values between 0 and 1
