"""Decode photographs to RGB and resize them, refusing files that were cut short."""

import io
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import Image

JPEG_START = b"\xff\xd8"
# What a complete file of these formats ends with.
JPEG_END = b"\xff\xd9"
PNG_END = b"IEND\xaeB`\x82"
# OpenCV's flags, by how many times smaller than the photograph a JPEG is decoded.
REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph at `path` as 8-bit RGB."""
    return decode(path.read_bytes(), name=str(path))


def decode(data: bytes, *, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """The encoded photograph as 8-bit RGB: grey, palette, CMYK and 16-bit ones are converted.

    The stored orientation is ignored, as annotations count pixels as they are stored. `name`
    says in the error which file is broken.
    """
    return _decode(data, cv2.IMREAD_COLOR, name)


def reduction(data: bytes, *, side: int, size: int) -> int:
    """How many times smaller (1, 2, 4 or 8) the photograph may be decoded.

    Of its shortest part that is used, `side` pixels, at least `size` are left, so that nothing is
    enlarged that would else be shrunk. 1 for any format but JPEG: those gain nothing.
    """
    if not data.startswith(JPEG_START):
        return 1
    return max(times for times in REDUCED if times == 1 or side >= times * size)


def decode_reduced(
    data: bytes, *, size: tuple[int, int], reduction: int, name: str
) -> UInt8[np.ndarray, "h w 3"]:
    """As `decode`, at a `reduction`-th of the photograph's height and width, rounded up.

    `size` is its (height, width) in full; what has another raises ValueError. JPEG's own
    transform leaves out the fine detail (libjpeg's scale_denom), which is not quite what
    averaging areas of the full image gives: benchmarks/views.py measures by how much.
    """
    pixels = _decode(data, REDUCED[reduction], name)
    expected = tuple(-(-each // reduction) for each in size)
    if pixels.shape[:2] != expected:
        found = " x ".join(map(str, pixels.shape[:2]))
        raise ValueError(
            f"{name}: {found} pixels at 1/{reduction}; expected {expected[0]} x {expected[1]} of "
            f"an image of {size[0]} x {size[1]}; write the shards again"
        )
    return pixels


def resize(image: np.ndarray, h: int, w: int) -> np.ndarray:
    """`image` ([h w] or [h w c]) at h x w: area means to shrink, bicubic to enlarge."""
    if image.shape[:2] == (h, w):
        return image
    shrinks = h <= image.shape[0] and w <= image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (w, h), interpolation=interpolation)


def _decode(data: bytes, flags: int, name: str) -> UInt8[np.ndarray, "h w 3"]:
    if not data.endswith((JPEG_END, PNG_END)):
        _require_whole(data, name)
    encoded = np.frombuffer(data, np.uint8)
    pixels = cv2.imdecode(encoded, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError(f"{name}: not a readable image ({len(data)} bytes); fetch it again")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _require_whole(data: bytes, name: str) -> None:
    # OpenCV 4 fills what is missing of a JPEG with grey and says nothing; Pillow raises. Slower,
    # but only files that end oddly come here (some whole ones have bytes after their end).
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{name}: truncated or not an image ({len(data)} bytes: {error}); fetch it again"
        ) from error
