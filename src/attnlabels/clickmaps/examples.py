"""Photographs with the maps that players painted on them, from the features of a TFRecord.

ClickMe's files come in several forms (STUDIES §A.2) and one name stands for more than one of them;
which it is, is told from what a record holds: an encoded image or raw float32, and of which side.
"""

from collections.abc import Mapping
from math import isqrt
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from attnlabels.clickmaps.tfrecord import Feature
from attnlabels.images.decoding import decode_grey, require_whole

ENCODED = (b"\xff\xd8", b"\x89PNG")  # how a JPEG and a PNG begin
FLOAT = 4  # bytes
ROUNDING = 1e-3  # of raw pixels beyond 0 and 255, or 0 and 1


class Example(NamedTuple):
    """A photograph as an image file, what players painted on it, and its class.

    `size` is its height and width. `map` is >= 0 and of that size; None: nobody painted on it.
    `n_clicks` is None where the record does not tell.
    """

    image: bytes
    size: tuple[int, int]
    map: Float[np.ndarray, "h w"] | None
    label: int
    n_clicks: int | None


def as_example(features: Mapping[str, Feature], *, classes: int) -> Example:
    """What a record holds. Raises ValueError, without its place, for one that is not ClickMe's.

    Raw pixels, of which 0 is black, are of 1 or of 255 at the most; they become a PNG.
    """
    image, size = _image(_one_of(features, "image"))
    label = _integer(features, "label")
    if label is None:
        raise ValueError("no 'label'")
    if not 0 <= label < classes:
        raise ValueError(f"label {label}; expected 0 to {classes - 1}")
    map = _map(features.get("heatmap"))
    if map is not None and map.shape != size:
        raise ValueError(
            f"a map of {map.shape[0]} x {map.shape[1]} on an image of {size[0]} x {size[1]}"
        )
    n_clicks = _integer(features, "click_count")
    return Example(image, size, None if n_clicks == 0 else map, label, n_clicks)


def _one_of(features: Mapping[str, Feature], key: str) -> bytes:
    """The one value of a feature of bytes."""
    if key not in features:
        raise ValueError(f"no {key!r}; it has {', '.join(sorted(features)) or 'nothing'}")
    values = features[key]
    if isinstance(values, np.ndarray):  # FloatList, as some writers have it
        return np.asarray(values, "<f4").tobytes()
    if len(values) != 1:
        raise ValueError(f"{len(values)} values of {key!r}; expected one")
    return values[0]


def _integer(features: Mapping[str, Feature], key: str) -> int | None:
    values = features.get(key)
    if values is None:
        return None
    if not isinstance(values, np.ndarray) or values.dtype != np.int64 or len(values) != 1:
        raise ValueError(f"{key!r} is not one whole number")
    return int(values[0])


def _image(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """An image file and its height and width."""
    if data.startswith(ENCODED):
        return data, require_whole(data, name="its image")
    pixels = _raw(data, channels=3, what="image")
    low, high = float(pixels.min()), float(pixels.max())
    scale = 255 if high <= 1 + ROUNDING else 1
    if low < -ROUNDING or high > 255 * (1 + ROUNDING):
        raise ValueError(f"an image from {low:g} to {high:g}; expected 0 to 1, or to 255")
    whole = np.rint(pixels * scale).clip(0, 255).astype(np.uint8)
    _, file = cv2.imencode(".png", cv2.cvtColor(whole, cv2.COLOR_RGB2BGR))
    return file.tobytes(), pixels.shape[:2]


def _map(feature: Feature | None) -> Float[np.ndarray, "h w"] | None:
    """A map of 0 and more; None where there is none, or nothing in it."""
    if feature is None or not len(feature):
        return None
    data = _one_of({"heatmap": feature}, "heatmap")
    if not data:
        return None
    if data.startswith(ENCODED):
        grey = decode_grey(data, name="its map")
        return np.divide(grey, 255, dtype=np.float32) if grey.any() else None
    map = _raw(data, channels=1, what="map")[..., 0]
    if map.min() < 0:
        raise ValueError(f"a map with values of {map.min():g}; expected 0 and more")
    return map if map.any() else None


def _raw(data: bytes, *, channels: int, what: str) -> Float[np.ndarray, "s s c"]:
    """Raw float32 of a square of some side. Raises ValueError if it is none or not finite."""
    side = isqrt(len(data) // (FLOAT * channels))
    if not side or side * side * channels * FLOAT != len(data):
        raise ValueError(f"{len(data)} bytes of {what}: no JPEG or PNG, nor a square of float32")
    values = np.frombuffer(data, "<f4").reshape(side, side, channels)
    if not np.isfinite(values).all():
        raise ValueError(f"{what} with values that are no numbers")
    return values
