"""What a partner sees of an image: patches around the places that were painted."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import UInt8


def reveal(
    image: UInt8[np.ndarray, "h w 3"],
    places: Iterable[tuple[float, float]],
    *,
    patch_px: int,
    neutral: int,
) -> UInt8[np.ndarray, "h w 3"]:
    """The image within squares of `patch_px` around `places` (x, y), and grey elsewhere.

    Places are in pixels, 0 at the left and upper edges; a square has its middle in the pixel that
    the place is in, and what of it is outside the image is cut off.

    # Paper: Linsley et al. (2019) do not say what is seen elsewhere, and the first game's code adds
    noise to the image there; a grey that no place depends on tells nothing.
    """
    shown = np.full_like(image, neutral)
    height, width = image.shape[:2]
    for x, y in places:
        left = min(max(int(x), 0), width - 1) - patch_px // 2
        top = min(max(int(y), 0), height - 1) - patch_px // 2
        at = np.s_[max(top, 0) : max(top + patch_px, 0), max(left, 0) : max(left + patch_px, 0)]
        shown[at] = image[at]
    return shown
