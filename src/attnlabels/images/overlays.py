"""Pictures of images, attention maps and points, to look at."""

import cv2
import numpy as np
from jaxtyping import Float, Integer, UInt8

from attnlabels.images.decoding import resize

OPACITY = 0.65  # of the map where it is highest
# Okabe and Ito (2008), told apart by any colour vision and not among the map's colours.
POINT = (86, 180, 233)


def colour_map(
    map: Float[np.ndarray, "i j"], *, size: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """A map whose largest value is 1 in the colours of "inferno", at `size`; its cells show."""
    grey = np.rint(np.clip(map, 0, 1) * 255).astype(np.uint8)
    enlarged = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_NEAREST)
    return cv2.cvtColor(cv2.applyColorMap(enlarged, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)


def mark_points(
    image: UInt8[np.ndarray, "h w 3"],
    points: Integer[np.ndarray, "p 2"],
    *,
    grid: tuple[int, int],
) -> UInt8[np.ndarray, "h w 3"]:
    """The image with a disc at the middle of each (row, col) cell of `grid`."""
    h, w = image.shape[:2]
    radius = max(2, round(0.012 * max(h, w)))
    marked = image.copy()
    for row, col in (points + 0.5) * np.divide((h, w), grid) - 0.5:
        centre = round(float(col)), round(float(row))
        cv2.circle(marked, centre, radius + 1, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(marked, centre, radius, POINT, cv2.FILLED, cv2.LINE_AA)
    return marked


def overlay(
    image: UInt8[np.ndarray, "h w 3"],
    map: Float[np.ndarray, "i j"],
    points: Integer[np.ndarray, "p 2"],
    *,
    grid: tuple[int, int],
) -> UInt8[np.ndarray, "h w 3"]:
    """The image under its map, the more of it the higher the map is, and its points."""
    h, w = image.shape[:2]
    smooth = np.clip(resize(map.astype(np.float32), h, w), 0, 1)
    share = OPACITY * smooth[..., None]
    mixed = image * (1 - share) + colour_map(smooth, size=(h, w)) * share
    return mark_points(np.rint(mixed).astype(np.uint8), points, grid=grid)


def fit_inside(image: UInt8[np.ndarray, "h w 3"], *, side: int) -> UInt8[np.ndarray, "i j 3"]:
    """The image at the largest size of its shape that fits into a square."""
    h, w = image.shape[:2]
    scale = side / max(h, w)
    return resize(image, max(1, round(h * scale)), max(1, round(w * scale)))


def spread(n: int, count: int) -> list[int]:
    """`count` numbers, or as many as there are, evenly from all over 0 to n - 1."""
    count = min(count, n)
    return [i * n // count for i in range(count)]
