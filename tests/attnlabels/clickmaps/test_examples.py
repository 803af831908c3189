from typing import Any

import cv2
import numpy as np
import pytest

from attnlabels.clickmaps.examples import as_example
from attnlabels.images.decoding import decode

S = 8


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (S, S, 3), np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image)[1])


def raw(values: np.ndarray) -> bytes:
    return values.astype("<f4").tobytes()


def number(value: int) -> np.ndarray:
    return np.array([value], np.int64)


def record(**changed: Any) -> dict[str, Any]:
    """A record of the first form: raw image and map, a label and the count of clicks."""
    map = np.zeros((S, S))
    map[2, 5] = 3
    whole = {
        "image": [raw(pixels())],
        "heatmap": [raw(map)],
        "label": number(4),
        "click_count": number(7),
    }
    return {key: value for key, value in {**whole, **changed}.items() if value is not None}


def test_raw_pixels_become_a_lossless_file_and_raw_maps_are_kept() -> None:
    found = as_example(record(), classes=10)
    assert np.array_equal(decode(found.image, name="a"), pixels())
    assert found.map is not None and found.map.shape == (S, S)
    assert np.argwhere(found.map).tolist() == [[2, 5]] and found.map.max() == 3
    assert (found.label, found.n_clicks) == (4, 7)


def test_raw_pixels_up_to_one_are_as_bright() -> None:
    found = as_example(record(image=[raw(pixels() / 255)]), classes=10)
    assert np.array_equal(decode(found.image, name="a"), pixels())


def test_encoded_images_are_kept_to_the_byte_and_encoded_maps_read() -> None:
    spot = np.zeros((S, S), np.uint8)
    spot[4:] = 255
    image = jpeg(pixels())
    found = as_example(record(image=[image], heatmap=[jpeg(spot)], click_count=None), classes=1000)
    assert found.image == image and found.n_clicks is None
    assert found.map is not None and found.map[6:].min() > 0.9 and found.map[:2].max() < 0.1


def test_floats_in_a_list_of_floats_are_read_too() -> None:
    map = np.zeros(S * S, np.float32)
    map[9] = 1
    found = as_example(record(heatmap=map), classes=10)
    assert found.map is not None and np.argwhere(found.map).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "changed",
    [
        {"heatmap": None},
        {"heatmap": []},
        {"heatmap": [b""]},
        {"heatmap": [raw(np.zeros((S, S)))]},
        {"click_count": number(0)},
    ],
)
def test_a_photograph_that_nobody_painted_on_has_no_map(changed: dict[str, Any]) -> None:
    assert as_example(record(**changed), classes=10).map is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"image": None}, "no 'image'; it has click_count, heatmap, label"),
        ({"image": []}, "0 values of 'image'; expected one"),
        ({"image": [b"x" * 100]}, "100 bytes of image: no JPEG or PNG, nor a square of float32"),
        ({"image": [raw(pixels() - 300.0)]}, "an image from -300 to -"),
        ({"image": [raw(np.full((S, S, 3), np.inf))]}, "image with values that are no numbers"),
        ({"image": [jpeg(pixels())[:60]]}, "its image"),
        ({"label": None}, "no 'label'"),
        ({"label": number(10)}, "label 10; expected 0 to 9"),
        ({"label": [b"4"]}, "'label' is not one whole number"),
        ({"heatmap": [raw(np.ones((4, 4)))]}, "a map of 4 x 4 on an image of 8 x 8"),
        ({"heatmap": [raw(np.full((S, S), -1))]}, "a map with values of -1"),
        ({"heatmap": [b"\xff\xd8 no jpeg"]}, "its map: truncated or not an image"),
        ({"heatmap": [jpeg(pixels())[:-40]]}, "its map: truncated or damaged"),
    ],
)
def test_other_records_are_refused_with_what_is_wrong(
    changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        as_example(record(**changed), classes=10)
