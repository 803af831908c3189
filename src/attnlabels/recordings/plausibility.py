"""Whether recorded points and photographs fit together, told from the photographs themselves.

People look at what differs from its surround: contrast at fixated places exceeds that elsewhere
(Reinagel & Zador, Network 1999). Points whose x and y were exchanged, or whose y was counted from
the bottom, lose most of this. On 280 of OSIE's images contrast at people's fixations is 0.80
standard deviations above the image's mean, with x and y exchanged 0.30, upside down 0.34, with left
for right 0.38 and turned by half a circle 0.30 (t = 12 to 14); any 40 images tell them apart, and
no right set of 10 was taken for a wrong one in 1,000 draws.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from attnlabels.images.decoding import read_image, resize
from attnlabels.metrics.statistics import paired_t
from attnlabels.recordings.coordinates import Zero
from attnlabels.recordings.points import Recording

SIDE = 64  # at which contrast is measured, pixels
SURROUND = 2.0  # sd, of those pixels
LEAST = 10  # images below which nothing is said
MOST = 200  # that are looked at, evenly spread
LIMIT = -3.0  # t of the difference, as read minus otherwise
AT_CORNER = 0.01  # the share of points on the first pixel above which they are no fixations
FEW = 20  # points, of which that is not asked


class Mistake(NamedTuple):
    """A way to read coordinates wrongly, and what to do about it."""

    what: str
    cure: str


UPSIDE_DOWN = Mistake("y counted from the bottom", "turn y round")
MISTAKES = (
    Mistake("x and y exchanged", "swap the columns"),
    UPSIDE_DOWN,
    Mistake("x counted from the right", "turn x round"),
    Mistake("x and y counted from the bottom right", "turn x and y round"),
)
# What else mends UPSIDE_DOWN, by where the points were said to be counted from.
ELSE = {
    "top-left": "pass --zero bottom-left for a CSV file, or ",
    "bottom-left": "leave out --zero bottom-left, or ",
    "centre": "",
}


def require_plausible(
    recordings: Sequence[Recording], images: Path, *, zero: Zero = "top-left"
) -> None:
    """Raises ValueError if the points cannot be where people looked.

    If many are on the first pixel, as where an eye was lost, or if they fit the photographs clearly
    better with x and y exchanged or turned round: what no other check sees. Exchanged are the
    shares of width and height, so that all points stay inside. An image that cannot be read says
    nothing here. `zero` is where they were said to be counted from.
    """
    _require_eyes(recordings, images)
    scores = []
    seen = [each for each in recordings if len(each.points)]
    for each in seen[:: -(-len(seen) // MOST) or 1]:
        try:
            scores.append(contrast_at(each, read_image(images / each.name)))
        except (ValueError, OSError):  # whoever needs the image stops or skips
            continue
    if len(scores) < LEAST:
        return
    contrast = np.array(scores)
    tests = [paired_t(contrast[:, 0], other) for other in contrast[:, 1:].T]
    t, worst = min((test.t if test.t is not None else 0.0, i) for i, test in enumerate(tests))
    if t < LIMIT:
        what, cure = MISTAKES[worst]
        if MISTAKES[worst] is UPSIDE_DOWN:
            cure = f"{ELSE[zero]}{cure}"
        as_read, otherwise = contrast.mean(axis=0)[[0, worst + 1]]
        raise ValueError(
            f"{images}: the points seem to be read with {what}: over {len(scores)} images, "
            f"contrast at the points is {as_read:.2f} standard deviations as read and "
            f"{otherwise:.2f} the other way (t = {t:.1f}); {cure}, or say that you trust the "
            "coordinates"
        )


def contrast_at(recording: Recording, image: UInt8[np.ndarray, "h w 3"]) -> tuple[float, ...]:
    """Mean contrast at the points, in sd from the image's mean: as read, then as by `MISTAKES`."""
    contrast = _local_contrast(image)
    shares = (recording.points + 0.5) / (recording.height, recording.width)
    row, col = (shares * SIDE).astype(int).T
    below, right = SIDE - 1 - row, SIDE - 1 - col
    places = ((row, col), (col, row), (below, col), (row, right), (below, right))
    return tuple(float(contrast[each].mean()) for each in places)


def _require_eyes(recordings: Sequence[Recording], images: Path) -> None:
    n = sum(len(each.points) for each in recordings)
    at_corner = sum(int((each.points == 0).all(axis=1).sum()) for each in recordings)
    if n >= FEW and at_corner > AT_CORNER * n:
        raise ValueError(
            f"{images}: {at_corner} of {n} points are on the first pixel of their image: was the "
            "eye lost there? Remove such points, or say that you trust the coordinates"
        )


def _local_contrast(image: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "s s"]:
    small = resize(image, SIDE, SIDE)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).astype(np.float64)
    variance = _blur(lab**2) - _blur(lab) ** 2
    contrast = _blur(np.sqrt(variance.sum(axis=2).clip(0)))
    return (contrast - contrast.mean()) / (contrast.std() + 1e-9)  # 0 everywhere in a flat image


def _blur(field: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(field, (0, 0), SURROUND)
