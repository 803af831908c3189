"""Decode photographs to RGB and resize them, refusing files cut short and files too large."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from attnlabels.images.formats import ENDS, JPEG_START, PNG_START, end_of, kind_of

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "HEIF")  # Pillow's names
UNREADABLE = (  # what Pillow raises on broken files
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
)
UNREAD: Mapping[type[OSError], str] = {  # what an image's file may be, and the cure
    FileNotFoundError: "no longer there; put it back",
    PermissionError: "may not be read; make it readable (chmod +r)",
}
LARGEST = 2**27  # pixels, 400 MB as RGB: 10,000 x 10,000 are decoded, a bomb is not
# OpenCV reads the others, and of AVIF tells more damage than Pillow where it was built to read it.
BY_PILLOW = {"heic"} if cv2.haveImageWriter(".avif") else {"heic", "avif"}
# TIFF's compressions that Pillow alone reads, and the modes of 8 bits, in which it does.
TIFF_BY_PILLOW, EIGHT_BITS = {"zstd", "lzma", "webp"}, {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK"}
# The segments of a JPEG that tell its size: all of C0 to CF that do not hold tables.
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
JPEG_SEGMENTS = {*range(0xC0, 0xFF)} - {*range(0xD0, 0xDA)}  # those left out have no length
REDUCED = (1, 2, 4, 8)  # how many times smaller than the photograph a JPEG can be decoded
# OpenCV's flags for the JPEGs that it alone decodes. Those named REDUCED_COLOR ask for BGR, and
# what they add to REDUCED_GRAYSCALE goes with no other colour.
FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_COLOR_RGB | cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
JFIF = b"JFIF\0"  # is followed by its version, of which libjpeg warns where it is not 1


def read_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """The photograph at `path` as 8-bit RGB; see `decode`."""
    return decode(path.read_bytes(), name=str(path))


def decode(data: bytes, *, name: str) -> UInt8[np.ndarray, "h w 3"]:
    """The encoded photograph as 8-bit RGB.

    Grey is repeated over the channels, a palette looked up, CMYK converted without its profile. Of
    16 bits the upper 8 stay. Alpha is left out: what is transparent has the colour stored for it.
    An orientation in the EXIF data is ignored, as torchvision and the usual loaders of ImageNet and
    COCO do: maps, fixations and outlines count pixels as they are stored.

    Of a file with several pictures, an animation say, it is the first.

    Raises ValueError, which begins with `name`, for a file that is cut short, damaged as far as its
    format tells, no image, or one behind another; and for one whose header tells of more than 2^27
    pixels, before they take any memory.
    """
    return _decode(data, name)


def decode_grey(data: bytes, *, name: str) -> UInt8[np.ndarray, "h w"]:
    """The encoded map, a JPEG or a PNG, as 8-bit grey; raises ValueError as `decode` does."""
    read_size(data, name=name)
    kind = kind_of(data)
    if kind == "jpg" and (found := _decode_jpeg(data, name, colorspace="GRAY")) is not None:
        return found[..., 0]
    _by_pillow(data, kind, name)
    return _by_opencv(data, cv2.IMREAD_GRAYSCALE, name)


def require_whole(data: bytes, *, name: str) -> tuple[int, int]:
    """Height and width of the encoded photograph; raises ValueError where `decode` does.

    A JPEG is read as far as all its damage shows and not drawn in full, for 0.4 of the time.
    """
    _decode(data, name, REDUCED[-1] if kind_of(data) == "jpg" else 1)
    return read_size(data, name=name)


def fault_of(path: Path) -> str:
    """Why the photograph at `path`, which it begins with, cannot be read, or an empty string.

    It is no longer there, may not be read, or `decode` refuses it.
    """
    try:
        require_whole(path.read_bytes(), name=str(path))
    except (*UNREAD,) as error:
        return f"{path}: {UNREAD[type(error)]}"
    except ValueError as error:
        return str(error)
    return ""


def read_size(data: bytes, *, name: str) -> tuple[int, int]:
    """Height and width as the header of the encoded photograph has them, in pixels.

    Raises ValueError, which begins with `name`, for no image and for more than 2^27 pixels.
    """
    h, w = _read_header(data, name)
    if h * w > LARGEST:
        raise ValueError(
            f"{name}: {h:,} x {w:,} pixels, above the {LARGEST:,} that are decoded; shrink it"
        )
    return h, w


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
    pixels = _decode(data, name, reduction)
    expected = tuple(-(-each // reduction) for each in size)
    if pixels.shape[:2] != expected:
        found = " x ".join(map(str, pixels.shape[:2]))
        raise ValueError(
            f"{name}: {found} pixels at 1/{reduction}; expected {expected[0]} x {expected[1]} of "
            f"an image of {size[0]} x {size[1]}; write the shards again"
        )
    return pixels


def resize(image: np.ndarray, h: int, w: int) -> np.ndarray:
    """`image` ([h w] or [h w c]) at h x w: a side is shrunk by area means, enlarged bicubic."""
    return _resize(image, h, w, enlarge=cv2.INTER_CUBIC)


def resize_map(map: np.ndarray, h: int, w: int) -> np.ndarray:
    """`map` ([h w]) at h x w: a side is shrunk by area means, enlarged bilinear.

    So it stays within its range, which bicubic leaves.
    """
    return _resize(map, h, w, enlarge=cv2.INTER_LINEAR)


def _resize(image: np.ndarray, h: int, w: int, *, enlarge: int) -> np.ndarray:
    # The side that shrinks by itself: what enlarges skips pixels where it is to shrink.
    small = (min(h, image.shape[0]), min(w, image.shape[1]))
    if small != image.shape[:2]:
        image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
    return image if small == (h, w) else cv2.resize(image, (w, h), interpolation=enlarge)


def _decode(data: bytes, name: str, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    h, w = read_size(data, name=name)
    kind = kind_of(data)
    if (end := end_of(data)) < len(data) and (other := kind_of(data[end:].lstrip(b"\0"))):
        raise ValueError(
            f"{name}: a second image ({other}) behind the first, which ends at byte {end}; keep one"
        )
    if kind == "jpg":
        least = {"min_height": -(-h // reduction), "min_width": -(-w // reduction)}
        found = _decode_jpeg(data, name, **least if reduction > 1 else {})
        if found is not None:
            return found
    if (found := _by_pillow(data, kind, name)) is not None:
        return found
    return _by_opencv(data, FLAGS[reduction], name)


def _by_pillow(data: bytes, kind: str, name: str) -> UInt8[np.ndarray, "h w 3"] | None:
    """The pixels of what OpenCV does not read; else None, once Pillow has found no damage.

    OpenCV 4 fills what is missing of a JPEG with grey and says nothing; Pillow raises.
    """
    if kind in ENDS and data.endswith(ENDS[kind]):
        return None
    with _opened(data, name) as image:
        compressed = image.info.get("compression")  # of TIFF
        image.load()
        alone = compressed in TIFF_BY_PILLOW and image.mode in EIGHT_BITS
        return np.asarray(image.convert("RGB")) if kind in BY_PILLOW or alone else None


def _by_opencv(data: bytes, flags: int, name: str) -> UInt8[np.ndarray, "h w *c"]:
    encoded = np.frombuffer(data, np.uint8)
    try:
        pixels = cv2.imdecode(encoded, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(f"{name}: damaged or not an image ({len(data)} bytes); {_cure(data)}")
    return pixels


def _decode_jpeg(data: bytes, name: str, **manner: Any) -> UInt8[np.ndarray, "h w c"] | None:
    """The pixels of a JPEG that libjpeg warns of nothing in; None for one it cannot decode at all.

    Of damage only the decoder's warnings tell: what is lost it fills with grey. The bits are those
    of OpenCV, which has the same libjpeg-turbo but keeps its warnings to itself. None are CMYK
    ones whose colours are subsampled, which TurboJPEG does not read; of these nothing tells.
    """
    version = data.find(JFIF) + len(JFIF)
    if version > len(JFIF) and data[version : version + 1] != b"\1":
        data = data[:version] + b"\1" + data[version + 1 :]  # one that is not 1 harms nothing
    try:
        return simplejpeg.decode_jpeg(data, **manner)
    except ValueError as error:
        try:
            simplejpeg.decode_jpeg(data, **manner, strict=False)
        except ValueError:
            return None  # no warning but an end: Pillow and OpenCV say whether it is an image
        raise ValueError(
            f"{name}: truncated or damaged ({len(data)} bytes: {error}); fetch it again"
        ) from error


def _read_header(data: bytes, name: str) -> tuple[int, int]:
    # Pillow's way of asking takes ten times as long.
    if data.startswith(PNG_START) and len(data) >= 24:
        w, h = struct.unpack_from(">II", data, 16)
        return h, w
    at = 2
    while data.startswith(JPEG_START) and at + 9 <= len(data):
        mark, kind, length, _, h, w = struct.unpack_from(">BBHBHH", data, at)
        if mark != 0xFF or kind not in JPEG_SEGMENTS:
            break
        if kind in JPEG_FRAMES:
            return h, w
        at += 2 + length
    with _opened(data, name) as image:
        return image.height, image.width


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs, LARGEST is our limit; and of metadata
            with Image.open(io.BytesIO(data), formats=readable()) as image:
                yield image
    except UnidentifiedImageError as error:  # its own message tells of an object in memory
        raise ValueError(_unidentified(data, name)) from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{name}: more than the {LARGEST:,} pixels that are decoded ({error}); shrink it"
        ) from error
    except UNREADABLE as error:
        raise ValueError(
            f"{name}: truncated or not an image ({len(data)} bytes: {error}); fetch it again"
        ) from error


@cache
def readable() -> tuple[str, ...]:
    """Those of FORMATS that this installation reads."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.init()
    return tuple(each for each in FORMATS if each in Image.OPEN)


def _unidentified(data: bytes, name: str) -> str:
    needed = {"heic": ("HEIF", "pillow-heif"), "avif": ("AVIF", "a Pillow of 11.3 or later")}
    format, library = needed.get(kind_of(data), ("", ""))
    if format and format not in readable():
        return f"{name}: {format} is read with {library} alone; install it, or convert the image"
    why = f"{len(data)} bytes: none of {', '.join(readable())}"
    return f"{name}: truncated or not an image ({why}); {_cure(data)}"


def _cure(data: bytes) -> str:
    if kind_of(data) == "tif":
        return "fetch it again, or convert it if its samples have more than 16 bits"
    return "fetch it again"
