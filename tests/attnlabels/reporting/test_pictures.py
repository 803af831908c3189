import base64
import io

import numpy as np
import pytest
from PIL import Image

from attnlabels.reporting.pictures import (
    SIDE,
    address_of_image,
    address_of_map,
    address_of_picture,
    address_of_text,
)


def seen(address):
    head, content = address.split(",", 1)
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)


@pytest.mark.parametrize(
    "size, shown", [((48, 64), (96, 128)), ((300, 400), (96, 128)), ((128, 90), (128, 90))]
)
def test_pictures_are_shown_within_one_size(size, shown):
    image = np.full((*size, 3), (200, 100, 50), np.uint8)
    found = seen(address_of_image(image))
    assert found.shape == (*shown, 3) and max(found.shape) == SIDE
    assert np.abs(found - (200, 100, 50)).max() <= 4


def test_a_small_picture_keeps_its_pixels():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 1] = 255
    found = seen(address_of_image(image))
    assert found[:60, 68:].min() > 240 and found[:, :60].max() < 15


def test_a_map_spans_all_colours():
    map = np.linspace(0.4, 0.6, 64 * 64, dtype=np.float32).reshape(64, 64)
    found = seen(address_of_map(map)).sum(axis=2)
    assert found[0, 0] < 30 and found[-1, -1] > 550


def test_a_constant_map_is_dark():
    assert seen(address_of_map(np.full((8, 8), 0.7, np.float32))).max() < 20


def test_files_are_held_by_their_addresses():
    assert address_of_picture(b"\x89PNG", kind="png") == "data:image/png;base64,iVBORw=="
    address = address_of_text('a,"ü & <b>"\n'.encode(), kind="csv")
    assert address == "data:text/csv;charset=utf-8,a%2C%22%C3%BC%20%26%20%3Cb%3E%22%0A"
