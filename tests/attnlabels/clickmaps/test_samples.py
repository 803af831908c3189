from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest

from attnlabels.clickmaps.blurring import blur
from attnlabels.clickmaps.samples import Maps, Painted, Read, as_samples, draw, is_used
from attnlabels.images.decoding import resize_map

SIZE = (32, 40)
IMAGE = bytes(cv2.imencode(".png", np.zeros((*SIZE, 3), np.uint8))[1])
POINTS = np.array([[3, 5], [20, 30]])
MAPS: Any = {"blur": "box_49", "size": (16, 20), "share": 1.0, "source": "csv"}


def an_image(name: str = "a/1.jpg", *, painted: bool = True, **changes) -> Painted:
    map = np.zeros(SIZE, np.float32)
    map[3, 5] = map[20, 30] = 1
    points = POINTS if painted else POINTS[:0]
    image = Painted(
        name, IMAGE, SIZE, 2, map if painted else None, points, np.arange(len(points)), "line 4"
    )
    return image._replace(**changes)


def samples(
    *painted: Painted, unpainted: Any = "keep", broken: Any = "stop", **maps: Any
) -> tuple[list, dict, list[str]]:
    counts: Counter[str] = Counter()
    skipped: list[str] = []
    drawn = [draw(Read(each.name, each), Maps(**MAPS | maps)) for each in painted]
    found = as_samples(drawn, counts, skipped, unpainted=unpainted, broken=broken, where="a.csv")
    return list(found), dict(counts), skipped


def test_a_map_is_blurred_at_the_images_size_and_then_reduced():
    (found,), counts, _ = samples(an_image())
    assert np.allclose(found["map"], resize_map(blur(an_image().map, "box_49"), 16, 20))
    assert found["key"] == "a-1" and found["name"] == "a/1.jpg" and found["label"] == 2
    assert np.array_equal(found["points"], POINTS) and found["observers"].tolist() == [0, 1]
    assert found["grid"] == found["image_size"] == SIZE and found["source"] == "csv"
    assert counts == {"with_map": 1}


def test_an_image_that_nobody_painted_on_stays_without_a_map_or_is_dropped():
    (found, _), counts, _ = samples(an_image(painted=False), an_image())
    assert found["source"] == "nobody" and not found["map"].any()
    assert found["map"].shape == (16, 20) and not len(found["points"])
    dropped, again, _ = samples(an_image(painted=False), an_image(), unpainted="drop")
    assert len(dropped) == 1 and again == counts == {"with_map": 1, "without_map": 1}


def test_where_no_image_has_a_map_it_is_said():
    message = r"a\.csv: no image has a map \(without_map 1\); see what the row asks"
    with pytest.raises(ValueError, match=message):
        samples(an_image(painted=False))
    assert len(samples(an_image(), share=0.0)[0]) == 1


def test_a_map_that_is_the_same_everywhere_may_be_left_out_and_is_named():
    flat = an_image(map=np.ones(SIZE, np.float32))
    (found,), counts, skipped = samples(flat, an_image("a/2.jpg"), broken="skip")
    assert found["name"] == "a/2.jpg" and skipped == ["a/1.jpg"] and counts == {"with_map": 1}


def test_maps_of_a_share_are_used_and_the_other_images_stay():
    names = [f"a/{k}.jpg" for k in range(400)]
    assert not any(is_used(each, share=0.0) for each in names)
    assert all(is_used(each, share=1.0) for each in names)
    used = {each for each in names if is_used(each, share=0.16)}
    assert 0.1 < len(used) / 400 < 0.22
    assert used < {each for each in names if is_used(each, share=0.5)}
    given = map(an_image, names)
    found, counts, _ = samples(*given, blur="none", share=0.16, unpainted="drop")
    assert len(found) == 400
    assert {each["name"] for each in found if each["map"].any()} == used
    assert counts == {"with_map": len(used), "withheld": 400 - len(used)}
    for each in found:
        assert (each["source"] == "nobody") == (each["name"] not in used)
        assert len(each["points"]) == (2 if each["name"] in used else 0)


def test_a_map_that_is_the_same_everywhere_is_refused():
    with pytest.raises(ValueError, match="line 4: the map is the same everywhere; mend it"):
        samples(an_image(map=np.ones(SIZE, np.float32)))
