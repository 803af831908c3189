import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest

from attnlabels.datasets.bombs import require_bounded


def a_png(width: int, height: int) -> bytes:
    """The beginning of a PNG that says it is so large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + body + struct.pack(">I", 0) + b"IDAT"


def a_jpeg(width: int, height: int) -> bytes:
    whole = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    place = whole.index(b"\xff\xc0") + 5
    whole[place:place + 4] = struct.pack(">HH", height, width)
    return bytes(whole)


@pytest.mark.parametrize("make", [a_png, a_jpeg])
def test_an_image_beyond_the_bound_is_refused_by_its_header(make):
    with pytest.raises(ValueError, match="a.png: too large to be a photograph"):
        require_bounded(make(60_000, 60_000), name="a.png")


@pytest.mark.parametrize("make", [a_png, a_jpeg])
def test_an_image_of_ten_thousand_pixels_a_side_passes_without_a_word(make):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_bounded(make(10_000, 10_000), name="a.png")


def test_what_is_no_image_is_left_to_who_decodes_it():
    require_bounded(b"", name="a")
    require_bounded(b"no image", name="a")
