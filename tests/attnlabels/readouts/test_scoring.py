from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from attnlabels.readouts.intermediates import Eye, Seen
from attnlabels.readouts.readouts import Looked
from attnlabels.readouts.scoring import drawing, fit_across, fit_to_all, learn, score
from attnlabels.shards.shards import Sample, Shards, write_shards


class Noting:
    """A readout that notes what it is shown, and reads the parts that it was fitted to."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, int]] = []  # an image's brightness and its part

    def learn(self, seen: Seen, looked: Sequence[Looked], parts: Sequence[int]) -> None:
        brightness = seen.stages[0].mean(dim=(1, 2, 3)).tolist()
        self.shown += zip(brightness, parts, strict=True)

    def fitted(self, parts, *, development):
        assert development in parts
        value = float(sum(10**part for part in parts))
        return lambda seen: torch.full((len(seen.stages[0]), 2, 2), value)


def look(squares: torch.Tensor) -> Seen:
    return Seen([squares.permute(0, 3, 1, 2).float()] * 3, None)


EYE = Eye(look=look, size=8, crop=1.0, interpolation="bicubic")


def write(folder: Path, maps: Sequence[np.ndarray]) -> Path:
    """Recordings of photographs of one colour, the i-th of brightness i."""
    samples = []
    for i, map in enumerate(maps):
        h, w = map.shape
        image = np.full((2 * h, 2 * w, 3), i, np.uint8)
        points = np.argwhere(map == map.max())[:2].astype(np.int16)
        samples.append(
            Sample(
                key=str(i),
                image=cv2.imencode(".png", image)[1].tobytes(),
                map=map.astype(np.float32),
                points=points,
                observers=np.zeros(len(points), np.int16),
                label=-1,
                grid=(h, w),
                image_size=(2 * h, 2 * w),
                source="test",
                name=f"{i}.png",
            )
        )
    maps_by = {"kind": "human", "sigma_px": 2.0, "sigma_width": 20, "count": "binary"}
    write_shards(folder, samples, maximum_count=3, maps_by=maps_by, classes=[])
    return folder


@pytest.fixture
def people(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    return write(tmp_path / "people", list(rng.random((7, 6, 8))))


def test_images_are_shown_in_turn_and_dealt_to_parts(people):
    readout = Noting()
    learn(EYE, Shards(people), [0, 2, 3, 5, 6], {"a": readout}, n_parts=3, batch_size=2)
    assert readout.shown == [(0.0, 0), (2.0, 1), (3.0, 2), (5.0, 0), (6.0, 1)]


def test_across_parts_an_image_is_read_by_what_was_fitted_without_it(people):
    readout = Noting()
    draw = drawing(EYE, fit_across({"a": readout}, n_parts=3), prefix="own_")
    images = [np.zeros((4, 4, 3), np.uint8)] * 4
    values = [float(map[0, 0]) for map in draw(images, [3, 4, 5, 6])["own_a"]]
    assert values == [110.0, 101.0, 11.0, 110.0]
    all_parts = drawing(EYE, fit_to_all({"a": readout}, n_parts=3))
    assert [float(map[0, 0]) for map in all_parts(images, [0, 1, 2, 3])["a"]] == [111.0] * 4


def brightest(images, numbers):
    """Numbered maps, the first of which is constant."""
    maps = [np.full((3, 4), 1.0, np.float32) for _ in images]
    for map, number in zip(maps, numbers):
        map[1, 1] += number
    return {"ramp": maps}


def test_constant_maps_score_as_chance_does_and_are_counted(people):
    compared = score(people, [brightest], crop=1.0, batch_size=3)
    assert len(compared.scores["ramp"]) == 7
    assert compared.constant == {"ramp": 1} and compared.n_undefined == 0
    first = compared.scores["ramp"][0]
    assert first["cc"] == 0 and first["nss"] == 0 and first["auc"] == 0.5
    assert score(people, [brightest], crop=1.0, batch_size=7) == compared


def test_images_whose_maps_by_people_are_constant_are_left_out_and_counted(tmp_path):
    maps = list(np.random.default_rng(0).random((4, 6, 8)))
    flat = np.ones((6, 8))
    folder = write(tmp_path / "some", [flat, flat, *maps[:2], flat, *maps[2:]])
    compared = score(folder, [brightest], crop=1.0, batch_size=2)
    assert len(compared.scores["ramp"]) == 4 and compared.n_undefined == 3
    with pytest.raises(ValueError, match="people's maps are the same everywhere"):
        score(write(tmp_path / "all", [flat] * 3), [brightest], crop=1.0, batch_size=2)


def test_a_map_that_is_not_finite_is_named(people):
    def broken(images, numbers):
        return {"linear": [np.full((3, 4), np.nan, np.float32) for _ in images]}

    with pytest.raises(ValueError, match="0.png: the map of the readout linear is not finite"):
        score(people, [broken], crop=1.0, batch_size=3)
