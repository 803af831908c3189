"""Whether recorded points and photographs fit together, told from the photographs themselves.

People look at what differs from its surround: contrast at fixated places exceeds that elsewhere
(Reinagel & Zador, Network 1999). Points whose x and y were exchanged lose most of this. On 187 of
OSIE's images contrast at the points is 0.81 standard deviations above the image's mean, at the
exchanged points 0.30 (t = 12); any 40 images tell the two apart, and no correct set of 10 was taken
for a wrong one in 1,000 draws.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from attnlabels.images.decoding import read_image, resize
from attnlabels.metrics.statistics import paired_t
from attnlabels.recordings.salicon import Recording

SIDE = 64  # at which contrast is measured, pixels
SURROUND = 2.0  # sd, of those pixels
LEAST = 10  # images below which nothing is said
MOST = 200  # that are looked at, evenly spread
LIMIT = -3.0  # t of the difference, as read minus exchanged


def require_not_transposed(recordings: Sequence[Recording], images: Path) -> None:
    """Raises ValueError if the points fit the photographs clearly better with x and y exchanged.

    What no other check sees: points of square images, or of wide ones that stay near the middle.
    Exchanged are the shares of width and height, so that all points stay inside. An image that
    cannot be read says nothing here.
    """
    scores = []
    for each in recordings[:: -(-len(recordings) // MOST)]:
        try:
            scores.append(contrast_at(each, read_image(images / each.name)))
        except (ValueError, OSError):  # whoever needs the image stops or skips
            continue
    if len(scores) < LEAST:
        return
    as_read, exchanged = np.array(scores).T
    test = paired_t(as_read, exchanged)
    if test.t is not None and test.t < LIMIT:
        raise ValueError(
            f"{images}: x and y of the points seem exchanged: over {len(scores)} images, contrast "
            f"at the points is {as_read.mean():.2f} standard deviations as read and "
            f"{exchanged.mean():.2f} with x and y exchanged (t = {test.t:.1f}); swap the columns, "
            "or say that you trust the coordinates"
        )


def contrast_at(recording: Recording, image: UInt8[np.ndarray, "h w 3"]) -> tuple[float, float]:
    """Mean local contrast at the points as read and exchanged, in sd from the image's mean."""
    contrast = _local_contrast(image)
    shares = (recording.points + 0.5) / (recording.height, recording.width)
    row, col = (shares * SIDE).astype(int).T
    return float(contrast[row, col].mean()), float(contrast[col, row].mean())


def _local_contrast(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "s s"]:
    small = resize(image, SIDE, SIDE)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float64)
    variance = _blur(lab**2) - _blur(lab) ** 2
    contrast = _blur(np.sqrt(variance.sum(axis=2).clip(0)))
    return (contrast - contrast.mean()) / (contrast.std() + 1e-9)  # 0 everywhere in a flat image


def _blur(field: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(field, (0, 0), SURROUND)
