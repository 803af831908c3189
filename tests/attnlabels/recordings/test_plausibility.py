from pathlib import Path

import cv2
import numpy as np
import pytest

from attnlabels.recordings.plausibility import contrast_at, require_not_transposed
from attnlabels.recordings.salicon import Recording, read_json

SIDE = 96


def scenes(folder: Path, n: int) -> list[Recording]:
    """Square photographs with one textured spot each, and points on and about it."""
    folder.mkdir()
    recordings = []
    for k in range(n):
        rng = np.random.default_rng(k)
        row, col = rng.integers(16, SIDE - 16, 2)
        image = np.full((SIDE, SIDE, 3), 128, np.uint8)
        image[row - 8 : row + 8, col - 8 : col + 8] = rng.integers(0, 256, (16, 16, 3))
        assert cv2.imwrite(str(folder / f"{k}.png"), image)
        points = rng.normal((row, col), 6, (12, 2)).round().astype(int).clip(0, SIDE - 1)
        recordings.append(
            Recording(
                name=f"{k}.png", height=SIDE, width=SIDE, points=points, observers=np.zeros(12, int)
            )
        )
    return recordings


def transposed(recordings: list[Recording]) -> list[Recording]:
    """The same files read with x for y."""
    return [
        Recording(
            name=each.name,
            height=each.height,
            width=each.width,
            points=each.points[:, ::-1],
            observers=each.observers,
        )
        for each in recordings
    ]


def test_exchanged_points_of_square_images_are_refused_and_right_ones_pass(tmp_path):
    recordings = scenes(tmp_path / "images", 30)
    require_not_transposed(recordings, tmp_path / "images")
    with pytest.raises(ValueError, match=r"x and y of the points seem exchanged: over 30 images"):
        require_not_transposed(transposed(recordings), tmp_path / "images")


def test_of_fewer_than_ten_images_nothing_is_said(tmp_path):
    recordings = scenes(tmp_path / "images", 9)
    require_not_transposed(transposed(recordings), tmp_path / "images")


def test_points_that_ignore_the_pictures_pass_either_way(tmp_path):
    recordings = scenes(tmp_path / "images", 30)
    shuffled = [
        Recording(
            name=each.name,
            height=SIDE,
            width=SIDE,
            points=other.points,
            observers=other.observers,
        )
        for each, other in zip(recordings, recordings[1:] + recordings[:1])
    ]
    require_not_transposed(shuffled, tmp_path / "images")
    require_not_transposed(transposed(shuffled), tmp_path / "images")


def test_contrast_at_the_points_is_that_of_the_spot_they_are_on():
    rng = np.random.default_rng(0)
    image = np.full((SIDE, 2 * SIDE, 3), 128, np.uint8)
    image[20:40, 140:170] = rng.integers(0, 256, (20, 30, 3))
    on = Recording(
        name="a",
        height=SIDE,
        width=2 * SIDE,
        points=np.array([[30, 155]]),
        observers=np.zeros(1, int),
    )
    as_read, exchanged = contrast_at(on, image)
    assert as_read > 3 and exchanged < 0
    assert contrast_at(on, np.full_like(image, 7)) == pytest.approx((0.0, 0.0), abs=1e-3)


@pytest.mark.real_data
def test_eye_tracking_on_square_cuts_of_real_photographs_is_told_from_its_transpose(
    real_data, tmp_path
):
    folder = real_data("osie")
    cut = []
    for each in read_json(folder / "eye.json")[::8]:
        image = cv2.imread(str(folder / "images" / each.name))[:, 50:350]
        points = each.points - (0, 50)
        inside = ((points >= 0) & (points < 300)).all(axis=1)
        assert cv2.imwrite(str(tmp_path / each.name), image)
        cut.append(
            Recording(
                name=each.name,
                height=300,
                width=300,
                points=points[inside],
                observers=each.observers[inside],
            )
        )
    require_not_transposed(cut, tmp_path)
    with pytest.raises(ValueError, match="over 70 images"):
        require_not_transposed(transposed(cut), tmp_path)
